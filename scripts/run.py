"""What `make run` and `make dev` start: Redis, a model, the web tier and a worker. Ctrl-C stops all of it.

Redis and the model only where the environment names none; the web tier and the worker by the Procfile's own commands.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from types import FrameType
from typing import NoReturn

from app.settings import Settings, SettingsError
from scripts import embedded_redis, local_model, probes
from scripts.changes import Changes
from scripts.environment import kept_secret_key, load_env_file, wants_embedded_redis, wants_local_model
from scripts.processes import Child, Guard, Problem, free_port, say, stop

REPOSITORY = Path(__file__).resolve().parent.parent
START_SECONDS = 120
LOADING_SECONDS = 600
RELOAD_SECONDS = 5
# The stages of a stop and their limits. Redis goes last: through it the worker hands back its turns.
APP, MODEL, REDIS = 0, 1, 2
STOP_SECONDS = {APP: 35, MODEL: 5, REDIS: 20}


class Stopped(Exception):
    """A person or the system asked for the end."""


class Runner:
    def __init__(self, root: Path, *, dev: bool) -> None:
        self.root = root
        self.data = root / ".data"
        self.dev = dev
        self.up = False
        self.children: dict[str, Child] = {}
        self.interrupts: list[float] = []

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        # One Ctrl-C can arrive twice: from the terminal, and through make.
        if not self.interrupts or (number == signal.SIGINT and now > self.interrupts[-1] + 0.5):
            self.interrupts.append(now)

    def run(self) -> int:
        """The exit code."""
        load_env_file(self.root)
        self.data.mkdir(exist_ok=True)
        try:
            model_port = self.prepare_model()
            settings = self.read_settings()
            lock = embedded_redis.take(self.data / "redis") if wants_embedded_redis() else None
            probes.check_port(settings.port)
        except (Problem, SettingsError) as exc:
            say(str(exc))
            return 1
        self.guard = Guard()
        try:
            self.start(settings, lock, model_port)
            self.watch()
        except Stopped:
            say("\nStopping; Ctrl-C again to hurry.")
            return 0
        except Problem as exc:
            say(f"\n{exc}")
            return 1
        finally:
            self.stop()

    # Before anything starts

    def prepare_model(self) -> int | None:
        """A port for the local model, which the app is told of; None if a provider is configured."""
        if not wants_local_model():
            return None
        if local_model.weights() is None:
            raise Problem(
                "No provider is configured and the local model is not installed. Set OPENAI_API_KEY, OLLAMA_BASE_URL, "
                "HF_TOKEN or PROVIDERS, in .env or the environment; or run `make run`, which installs the model."
            )
        port = free_port()
        provider = {
            "name": "local",
            "base_url": f"http://127.0.0.1:{port}/v1",
            "models": [local_model.NAME],
            "api": "chat",
        }
        os.environ["PROVIDERS"] = json.dumps([{**provider, "api_key": ""}])
        # Too small a model for titles and summaries that anybody would want.
        limits = {"MEMORY_TOKENS": str(local_model.MEMORY_TOKENS), "TITLE_MODEL": "off", "SUMMARY_MODEL": "off"}
        for name, value in limits.items():
            if not os.environ.get(name):
                os.environ[name] = value
        return port

    def read_settings(self) -> Settings:
        """As the children will read them, so that what is wrong is said before anything starts."""
        if not os.environ.get("SECRET_KEY"):
            os.environ["SECRET_KEY"] = kept_secret_key(self.data)
        settings = Settings.from_env()
        os.environ["PORT"] = str(settings.port)
        os.environ["PATH"] = f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return settings

    # Start

    def start(self, settings: Settings, lock: int | None, model_port: int | None) -> None:
        if lock is None:
            probes.check_redis(settings.redis_url)
        else:
            self.start_redis(lock)
        if model_port:
            self.start_model(model_port)
        say(f"Starting the web tier and a worker ({settings.async_mode}) ...")
        self.changes = Changes(self.root)
        self.start_app("web")
        self.start_app("worker")
        self.wait(lambda: probes.what_is_missing(settings.port))
        self.up = True
        for child in self.children.values():
            child.loud = True
        say(f"\nParley is ready: http://localhost:{settings.port}\n")

    def start_redis(self, lock: int) -> None:
        folder = self.data / "redis"
        port = free_port()
        say(f"Starting Redis, its data in {folder} ...")
        self.start_child("redis", REDIS, embedded_redis.command(folder, port), pass_fds=[lock])
        self.wait(lambda: None if probes.redis_answers(port) else "Redis does not answer", LOADING_SECONDS)
        os.environ["REDIS_URL"] = f"redis://127.0.0.1:{port}/0"

    def start_model(self, port: int) -> None:
        say(f"Starting the local model ({local_model.NAME}), as no provider is configured ...")
        self.start_child("model", MODEL, [sys.executable, "-m", "scripts.local_model", str(port)], folder=REPOSITORY)
        self.wait(lambda: None if probes.get(port, "/health")[0] == 200 else "the local model does not answer")

    def start_app(self, name: str) -> None:
        self.start_child(name, APP, ["sh", str(REPOSITORY / "scripts" / "procfile.sh"), name])

    def start_child(
        self, name: str, stage: int, command: list[str], *, folder: Path | None = None, pass_fds: Collection[int] = ()
    ) -> None:
        child = Child(name, stage, command, guard=self.guard, folder=folder or self.root, pass_fds=pass_fds)
        child.loud = self.up
        self.children[name] = child

    def wait(self, missing: Callable[[], str | None], seconds: float = START_SECONDS) -> None:
        """Until nothing is missing."""
        deadline = time.monotonic() + seconds
        while words := missing():
            self.check()
            if time.monotonic() > deadline:
                raise Problem(f"Not ready after {seconds:.0f} seconds: {words}\n" + self.last_words())
            time.sleep(0.1)

    def last_words(self) -> str:
        return "\n".join(f"{name:<6} | {line}" for name, child in self.children.items() for line in child.tail)

    # While it runs

    def watch(self) -> NoReturn:
        while True:
            self.check()
            if self.dev and (changed := self.changes.since_last_look()):
                self.reload(changed)
            time.sleep(0.3)

    def check(self) -> None:
        if self.interrupts:
            raise Stopped
        for child in list(self.children.values()):
            if child.exit_code is None:
                continue
            if not (self.dev and self.up and child.stage == APP):
                raise Problem(child.obituary())
            say(f"{child.obituary()} It starts again with the next change.")
            child.end()
            del self.children[child.name]

    def reload(self, changed: set[Path]) -> None:
        names = ["web", "worker"] if any(path.suffix in {".py", ".lua"} for path in changed) else ["web"]
        say(f"{', '.join(sorted(path.name for path in changed))} changed: restarting {' and '.join(names)}")
        stop([self.children.pop(name) for name in names if name in self.children], RELOAD_SECONDS)
        for name in names:
            self.start_app(name)

    # Stop

    def stop(self) -> None:
        for stage, seconds in STOP_SECONDS.items():
            here = [child for child in self.children.values() if child.stage == stage]
            stop(here, seconds, lambda: len(self.interrupts) > 1)
        self.guard.dismiss()


def main() -> int:
    parser = argparse.ArgumentParser(description="Starts Parley on this machine; Ctrl-C stops all of it.")
    parser.add_argument("--dev", action="store_true", help="restart web and worker when a file changes")
    parser.add_argument("--root", type=Path, default=REPOSITORY, help="where Procfile, .env and .data are")
    options = parser.parse_args()
    runner = Runner(options.root.resolve(), dev=options.dev)
    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in ends:
        signal.signal(number, runner.on_signal)
    code = runner.run()
    for number in ends:
        signal.signal(number, signal.SIG_IGN)  # a last impatient Ctrl-C finds everything done
    return code


if __name__ == "__main__":
    sys.exit(main())
