"""Wrong settings: said all at once, by name, before anything starts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.processes import Process, clean_environment, procfile_command

GOOD = {
    "SECRET_KEY": "planted-secret-key-0123456789",
    "PROVIDERS": '[{"name": "x", "base_url": "http://127.0.0.1:1/v1", "models": ["m"]}]',
    "REDIS_URL": "redis://127.0.0.1:1/0",
}
WRONG = {
    **GOOD,
    "FLUSH_MS": "often",
    "LLM_RETRIES": "-1",
    "LEASE_SECONDS": "0",
    "MEMORY_MESSAGES": "some",
    "LOG_FORMAT": "xml",
    "TRUSTED_PROXIES": "all",
    "ALLOWED_ORIGINS": "example.com",
    "OPENAI_BASE_URL": "ftp://planted-host",
    "OPENAI_API": "telepathy",
    "REDIS_URL": "http://:planted-password@127.0.0.1:1",
    "PROVIDERS": '[{"name": "x", "base_url": "nowhere", "models": [], "api_key": "sk-planted-provider", "typo": 1}]',
    "OPENAI_API_KEY": "sk-planted-openai",
    "HF_TOKEN": "hf_planted",
    "DEBUG": "perhaps",
}


@pytest.fixture(params=["web", "worker"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Starter:
    """Starts one process of the Procfile and waits for its end."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._folder = folder
        self.processes: list[Process] = []

    def fails(self, environ: dict[str, str]) -> str:
        """What it says when it gives up."""
        home = {**clean_environment(self._folder), "PORT": str(free_port())}
        command = ["sh", "-c", procfile_command(self._name)]
        process = Process(f"{self._name}-{len(self.processes)}", command, {**home, **environ}, self._folder)
        self.processes.append(process)
        process.start()
        assert process.wait(20) != 0
        return process.output()


@pytest.fixture
def starter(name: str, tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(name, tmp_path)
    yield starter
    for process in starter.processes:
        process.kill()


def test_everything_that_is_wrong_is_named(starter: Starter) -> None:
    said = starter.fails({key: value for key, value in WRONG.items() if key != "SECRET_KEY"})
    wrong = [key for key in WRONG if WRONG[key] != GOOD.get(key) and "KEY" not in key and key != "HF_TOKEN"]
    unnamed = [variable for variable in ["SECRET_KEY", *wrong] if f"- {variable}" not in said]
    assert unnamed == [], said
    assert "planted" not in said
    assert "Traceback" not in said


def test_everything_that_is_missing_is_named(starter: Starter) -> None:
    said = starter.fails({})
    assert "- SECRET_KEY" in said
    assert "- OPENAI_API_KEY: no provider is configured" in said
    assert "Traceback" not in said


def test_what_is_missing_is_named_beside_what_is_wrong(starter: Starter) -> None:
    said = starter.fails({"FLUSH_MS": "often"})
    unnamed = [variable for variable in ("FLUSH_MS", "SECRET_KEY", "OPENAI_API_KEY") if f"- {variable}" not in said]
    assert unnamed == [], said


@pytest.mark.parametrize(
    "wrong",
    [
        {"ASYNC_MODE": "twisted", "FLUSH_MS": "often"},
        {"LOG_LEVEL": "loud", "FLUSH_MS": "often"},
        {"WORKER_CONCURRENCY": "many", "FLUSH_MS": "often"},
        {"DEFAULT_PROVIDER": "nobody"},
        {"PROVIDERS": '{"api_key": "sk-planted"'},
        {"SECRET_KEY": "planted"},
        {"REDIS_URL": "redis://:planted@127.0.0.1:port/0"},
        {"REDIS_URL": "redis://:planted@127.0.0.1:1/zero"},
        {"CELERY_BROKER_URL": "amqp://user:planted@127.0.0.1"},
        {"PROVIDERS": GOOD["PROVIDERS"].replace("]}]", ']}, {"name": "x", "base_url": "http://a", "models": ["m"]}]')},
    ],
    ids=lambda wrong: f"{wrong}",
)
def test_what_is_wrong_is_named(starter: Starter, wrong: dict[str, str]) -> None:
    said = starter.fails({**GOOD, **wrong})
    assert [variable for variable in wrong if f"- {variable}" not in said] == [], said
    assert "planted" not in said
    assert "Traceback" not in said
