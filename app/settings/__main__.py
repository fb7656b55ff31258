"""`python -m app.settings`: says what is wrong with the environment, or prints what gunicorn must know of it."""

import sys

import orjson

from app.settings import Settings, SettingsError


def main() -> None:
    try:
        settings = Settings.from_env()
    except SettingsError as exc:
        sys.exit(str(exc))
    facts = settings.model_dump(include={"port", "async_mode", "log_level"})
    sys.stdout.write(orjson.dumps(facts).decode())


if __name__ == "__main__":
    main()
