"""`make doctor`: app.doctor with `.env`, as `make run` and docker compose have it."""

from pathlib import Path

from app.doctor import main
from scripts.environment import load_env_file

if __name__ == "__main__":
    load_env_file(Path(__file__).resolve().parent.parent)
    main()
