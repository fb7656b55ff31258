"""Writes `.env.example` from app/settings/settings.py; with --check only says whether it is up to date."""

import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from app.settings import Settings

TARGET = Path(__file__).resolve().parent.parent / ".env.example"
HEAD = """\
# Copy to .env and change what you need: `make run` and docker compose read it. Real environment variables win.
# What is commented out shows the default. Written by `python -m scripts.env_example` from app/settings/settings.py.
"""
# Read by others than Parley itself.
TAIL = """
# --- Flower

# user:password for Flower's page; it does not start without.
#FLOWER_BASIC_AUTH=

# --- Traces

# With requirements-otel.txt installed: where spans go, over OTLP/HTTP. OpenTelemetry's other variables hold as well.
#OTEL_EXPORTER_OTLP_ENDPOINT=
"""


def groups() -> dict[str, list[str]]:
    """The fields of Settings below the comments that head them in the source."""
    found: dict[str, list[str]] = {}
    for line in inspect.getsource(Settings).splitlines():
        if heading := re.fullmatch(r" {4}# (\w.*)", line):
            fields = found.setdefault(heading[1], [])
        elif (field := re.match(r" {4}(\w+):", line)) and field[1] in Settings.model_fields:
            fields.append(field[1])
    return found


def shown(default: Any) -> str:
    if default is None or isinstance(default, SecretStr):
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple | list):
        return ",".join(map(str, default))
    text = str(default)
    return json.dumps(text) if " " in text else text


def text() -> str:
    lines = [HEAD]
    for heading, names in groups().items():
        lines.append(f"\n# --- {heading}\n\n")
        for name in names:
            field = Settings.model_fields[name]
            lines.append(f"# {field.description}\n#{name.upper()}={shown(field.get_default())}\n")
    return "".join(lines) + TAIL


def main() -> int:
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text())
    elif not TARGET.exists() or TARGET.read_text() != text():
        print(".env.example is out of date: run `python -m scripts.env_example`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
