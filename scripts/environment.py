"""What the environment and `.env` ask of a runner: which parts it has to bring itself."""

import os
import secrets
from pathlib import Path

from dotenv import load_dotenv
from pydantic import ValidationError

from app.settings import Settings


def load_env_file(root: Path) -> None:
    """`.env` into the environment; what is set already wins, also when it is set to nothing."""
    load_dotenv(root / ".env")


def wants_embedded_redis() -> bool:
    return not (os.environ.get("REDIS_URL") or os.environ.get("REDISHOST"))


def wants_local_model() -> bool:
    """Also where something else is set wrongly, so that nobody is told to configure a provider for that."""
    try:
        return not Settings().provider_configs()
    except ValidationError:
        return not any(map(os.environ.get, ("OPENAI_API_KEY", "OLLAMA_BASE_URL", "HF_TOKEN", "PROVIDERS")))


def kept_secret_key(data: Path) -> str:
    """Made once, so that sessions outlive a restart."""
    path = data / "secret_key"
    if not path.exists():
        new = data / "secret_key.new"
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
        new.rename(path)
    return path.read_text().strip()
