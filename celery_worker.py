"""Entry point of the worker: `celery --app celery_worker worker --pool gevent` (or eventlet; ASYNC_MODE).

Celery has patched the standard library by the time this is imported, because the pool is named on its command line.
"""

import sys
import time
from contextlib import suppress
from typing import Any

from celery import Celery, signals
from kombu.utils import functional

from app.connections import UNREACHABLE
from app.logs import configure_logs
from app.services import build_worker
from app.settings import Settings, SettingsError
from tasks.background import register_background
from tasks.celery_app import make_celery
from tasks.hints import CeleryHints
from tasks.reply import register_reply

# All of it but this: gevent looks at every object for locks, at Celery's lazy ones too, and those import kombu before
# `time` is patched. With the `sleep` that it found, a wait for a broker that is away stops every reply of the process.
functional.sleep = time.sleep  # type: ignore[attr-defined]


def make_worker() -> Celery:
    try:
        settings = Settings.from_env()
    except SettingsError as exc:
        sys.exit(str(exc))

    @signals.setup_logging.connect(weak=False)  # type: ignore[untyped-decorator]
    def set_up_logs(**_: Any) -> None:
        configure_logs(settings.log_level, settings.log_format)

    celery = make_celery(settings)
    services = build_worker(settings, CeleryHints(celery))
    register_reply(celery, services.runner)
    register_background(celery, services.background)

    @signals.worker_init.connect(weak=False)  # type: ignore[untyped-decorator]
    def warm_up(**_: Any) -> None:
        services.registry.warm_up()

    @signals.worker_ready.connect(weak=False)  # type: ignore[untyped-decorator]
    def start(**_: Any) -> None:
        services.start()

    @signals.worker_shutting_down.connect(weak=False)  # type: ignore[untyped-decorator]
    def drain(**_: Any) -> None:
        services.drain()

    @signals.worker_shutdown.connect(weak=False)  # type: ignore[untyped-decorator]
    def leave(**_: Any) -> None:
        with suppress(*UNREACHABLE):
            services.leave()

    return celery


app = make_worker()
