"""`python -m app.doctor`: looks at what Parley needs around it, and says what to change.

It ends with 1 if something is wrong that would lose messages or keep them from being answered.
"""

import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2
from redis import Redis
from redis.exceptions import RedisError

from app.connections import connect
from app.ledger.presence import Presence
from app.providers.proxies import proxy_for
from app.settings import ProviderConfig, Settings, SettingsError

OLDEST_REDIS = (6, 2)
CLOCK_SECONDS = 2.0
PROVIDER_SECONDS = 10.0

Level = Literal["ok", "warning", "error"]
Finding = tuple[Level, str]


def main() -> None:
    try:
        settings = Settings.from_env()
    except SettingsError as exc:
        sys.exit(str(exc))
    worst = 0
    for level, words in findings(settings):
        sys.stdout.write(f"{level:<8} {words}\n")
        sys.stdout.flush()
        worst = max(worst, level == "error")
    sys.exit(worst)


def findings(settings: Settings) -> Iterator[Finding]:
    yield "ok", "Settings: complete."
    yield from _of_redis("REDIS_URL", settings.redis_url, _ledger_findings)
    for name, url in (
        ("CELERY_BROKER_URL", settings.celery_broker_url),
        ("SOCKETIO_MESSAGE_QUEUE", settings.socketio_message_queue),
    ):
        if url != settings.redis_url:
            yield from _of_redis(name, url, lambda _redis, _info: iter(()))
    for config in settings.provider_configs():
        yield _provider_finding(config)


def _of_redis(name: str, url: str, more: Callable[[Redis, dict[str, Any]], Iterator[Finding]]) -> Iterator[Finding]:
    redis = connect(url)
    try:
        info: dict[str, Any] = redis.info()
        version = str(info["redis_version"])
        if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < OLDEST_REDIS:
            yield "error", f"{name}: Redis {version} is too old. Use 6.2 or newer."
        else:
            yield "ok", f"{name}: Redis {version} answers at {_without_login(url)}."
        yield from more(redis, info)
    except RedisError as exc:
        yield "error", f"{name}: no Redis can be used at {_without_login(url)}: {exc}"
    finally:
        redis.close()


def _ledger_findings(redis: Redis, info: dict[str, Any]) -> Iterator[Finding]:
    yield from _persistence_findings(redis, info)
    yield from _memory_findings(info)
    seconds, microseconds = redis.time()
    apart = abs(time.time() - seconds - microseconds / 1e6)
    if apart > CLOCK_SECONDS:
        yield (
            "warning",
            (
                f"Clocks: this machine's and Redis's differ by {apart:.0f} s. Replies do not depend on it; "
                "times that are shown, and whether workers count as seen, are. Run NTP on all machines."
            ),
        )
    else:
        yield "ok", "Clocks: this machine's and Redis's agree."
    workers = Presence(redis).count()
    if workers:
        yield "ok", f"Workers: {workers} seen in the last 15 seconds."
    elif _is_full(info):
        yield "warning", "Workers: none has been seen for 15 seconds; in a Redis that is full none can show itself."
    else:
        yield "error", "Workers: none has been seen for 15 seconds. Start the Procfile's `worker`."


def _persistence_findings(redis: Redis, info: dict[str, Any]) -> Iterator[Finding]:
    if not info.get("aof_enabled"):
        yield (
            "error",
            (
                "Persistence: append-only file off: a restart of Redis loses what came after its last snapshot. "
                "Set `appendonly yes` (deploy/redis.conf has it), or a plan of your provider with persistence."
            ),
        )
    elif info.get("aof_last_write_status", "ok") != "ok":
        yield "error", "Persistence: Redis cannot write its append-only file. Look at its disk and its log."
    else:
        fsync = _configured(redis, "appendfsync")
        if fsync == "no":
            yield (
                "warning",
                "Persistence: `appendfsync no` leaves it to the system when to write. Set `everysec` or `always`.",
            )
        else:
            yield "ok", f"Persistence: append-only file on{f', appendfsync {fsync}' if fsync else ''}."


def _memory_findings(info: dict[str, Any]) -> Iterator[Finding]:
    policy = info.get("maxmemory_policy", "")
    if policy != "noeviction":
        yield (
            "error",
            (f"Eviction: `maxmemory-policy {policy}` makes a full Redis throw conversations away. Set `noeviction`."),
        )
    else:
        yield "ok", "Eviction: noeviction."
    used, limit = int(info["used_memory"]), int(info.get("maxmemory", 0))
    amount = f"{used / 2**20:.0f} MB used"
    if _is_full(info):
        yield "error", f"Memory: {amount} of {limit / 2**20:.0f} MB. It is full: messages are refused. Give it more."
    elif limit and used > 0.8 * limit:
        yield (
            "warning",
            f"Memory: {amount} of {limit / 2**20:.0f} MB. When it is full, messages are refused. Give it more.",
        )
    else:
        yield "ok", f"Memory: {amount}{f' of {limit / 2**20:.0f} MB' if limit else ', no limit set'}."


def _is_full(info: dict[str, Any]) -> bool:
    return 0 < int(info.get("maxmemory", 0)) <= int(info["used_memory"])


def _configured(redis: Redis, name: str) -> str:
    """Hosted Redis often forbids to ask."""
    try:
        found: dict[str, str] = redis.config_get(name)  # type: ignore[assignment]
    except RedisError:
        return ""
    return str(found.get(name, ""))


def _provider_finding(config: ProviderConfig) -> Finding:
    name, address = f"Provider {config.name}", config.base_url
    headers = {"Authorization": f"Bearer {config.api_key}"} if config.api_key else {}
    try:
        answer = httpx2.get(
            f"{address.rstrip('/')}/models",
            headers=headers,
            timeout=PROVIDER_SECONDS,
            follow_redirects=True,
            proxy=proxy_for(address),  # as workers do
            trust_env=False,
        )
    except (httpx2.HTTPError, httpx2.InvalidURL) as exc:
        return (
            "error",
            f"{name}: {address} cannot be reached ({type(exc).__name__}). Look at its address and the network.",
        )
    if answer.status_code in {401, 403}:
        return "error", f"{name}: {address} does not accept the API key."
    if answer.status_code != 200:
        return "warning", f"{name}: {address} answers, but does not list its models (status {answer.status_code})."
    try:
        offered = {str(model["id"]) for model in answer.json()["data"]}
    except (ValueError, KeyError, TypeError):
        return "warning", f"{name}: {address} answers, but its list of models cannot be read."
    if missing := [model for model in config.models if model not in offered and f"{model}:latest" not in offered]:
        return "warning", f"{name}: {address} answers, but does not list {', '.join(missing)}."
    return "ok", f"{name}: {address} answers and offers {', '.join(config.models)}."


def _without_login(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


if __name__ == "__main__":
    main()
