"""Entry point of the web tier: `gunicorn --config gunicorn.conf.py wsgi:app`.

gunicorn's worker has patched the standard library by the time this is imported (see gunicorn.conf.py).
"""

from flask import Flask

from app.logs import configure_logs
from app.services import build_web
from app.settings import Settings
from app.web.app import create_app
from tasks.celery_app import make_celery
from tasks.hints import CeleryHints


def make_app() -> Flask:
    settings = Settings.from_env()
    configure_logs(settings.log_level, settings.log_format)
    services = build_web(settings, CeleryHints(make_celery(settings)))
    services.tally.start()
    return create_app(services)


app = make_app()
