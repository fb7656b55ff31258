"""`python -m app.doctor` says what is wrong around Parley, and what to do."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import ROOT, clean_environment
from tests.support.redis_server import RedisServer
from tests.support.stack import SECRET_KEY, Stack


def doctor(environ: dict[str, str]) -> tuple[int, dict[str, str]]:
    """(exit code, what it looked at → level and words)."""
    done = subprocess.run(
        [sys.executable, "-m", "app.doctor"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    lines = [line.split(None, 1) for line in done.stdout.splitlines()]
    return done.returncode, {words.partition(":")[0]: f"{level} {words}" for level, words in lines}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as redis:
        yield redis


def environ(redis: RedisServer, folder: Path, **more: str) -> dict[str, str]:
    provider = {"name": "gone", "base_url": "http://127.0.0.1:1/v1", "models": ["m"], "api_key": "sk-planted"}
    return {
        **clean_environment(folder),
        "SECRET_KEY": SECRET_KEY,
        "PROVIDERS": json.dumps([provider]),
        "REDIS_URL": redis.url,
        **more,
    }


def test_all_is_well(stack: Stack) -> None:
    provider = json.loads(stack.environ["PROVIDERS"])[0]
    code, said = doctor({**stack.environ, "PROVIDERS": json.dumps([provider])})
    levels = {about: words.split()[0] for about, words in said.items() if not about.startswith("Provider")}
    assert set(levels.values()) == {"ok"}, said
    assert {"REDIS_URL", "Persistence", "Eviction", "Memory", "Clocks", "Workers"} <= levels.keys()
    # The scripted model lists no models; that alone is no error.
    assert said["Provider chat"].startswith("warning")
    assert code == 0


def test_providers_are_asked_through_the_proxy_that_workers_use(stack: Stack) -> None:
    provider = json.loads(stack.environ["PROVIDERS"])[0]
    elsewhere = {**provider, "base_url": "http://models.invalid/v1"}
    proxied = {**stack.environ, "PROVIDERS": json.dumps([elsewhere]), "HTTP_PROXY": provider["base_url"]}
    _, said = doctor(proxied)
    assert "http://models.invalid/v1 answers" in said["Provider chat"]


def test_a_redis_that_would_lose_conversations(redis: RedisServer, tmp_path: Path) -> None:
    redis.client.config_set("appendonly", "no")
    redis.client.config_set("maxmemory-policy", "allkeys-lru")
    redis.client.config_set("maxmemory", "500000")
    code, said = doctor(environ(redis, tmp_path))
    assert code == 1
    assert said["Persistence"].startswith("error")
    assert "Set `appendonly yes`" in said["Persistence"]
    assert said["Eviction"].startswith("error")
    assert "Set `noeviction`" in said["Eviction"]
    assert said["Memory"].startswith("error")
    assert said["Workers"].startswith("warning"), "it is not known"
    assert said["Provider gone"].startswith("error")
    assert "sk-planted" not in " ".join(said.values())


def test_a_redis_that_may_not_be_asked_about_everything(redis: RedisServer, tmp_path: Path) -> None:
    """As hosted ones forbid it, with a user and a password."""
    redis.client.acl_setuser(
        "parley",
        enabled=True,
        passwords=["+planted-password"],
        categories=["+@all", "-@admin", "-@dangerous"],
        commands=["+info"],
        keys=["*"],
        channels=["*"],
    )
    url = redis.url.replace("redis://", "redis://parley:planted-password@")
    _, said = doctor(environ(redis, tmp_path, REDIS_URL=url))
    assert said["REDIS_URL"].startswith("ok")
    assert said["Persistence"].startswith("ok")
    assert said["Workers"].startswith("error")
    _, refused = doctor(environ(redis, tmp_path, REDIS_URL=url.replace("planted", "wrong")))
    assert refused["REDIS_URL"].startswith("error")
    assert "planted" not in str([said, refused]).replace("planted-secret", "")
    assert "wrong-password" not in str(refused)


def test_a_provider_whose_name_is_no_host(redis: RedisServer, tmp_path: Path) -> None:
    """Which is found when it is asked for, and not before."""
    provider = {"name": "gone", "base_url": "http://xn--ä/v1", "models": ["m"]}
    code, said = doctor(environ(redis, tmp_path, PROVIDERS=json.dumps([provider])))
    assert code == 1
    assert said["Provider gone"].startswith("error")


def test_no_redis_at_all(redis: RedisServer, tmp_path: Path) -> None:
    redis.kill()
    code, said = doctor(environ(redis, tmp_path, CELERY_BROKER_URL=redis.url.replace("/0", "/1")))
    assert code == 1
    assert said["REDIS_URL"].startswith("error")
    assert said["CELERY_BROKER_URL"].startswith("error")
