"""Questions that the runner asks of ports, of a Redis and of the app."""

import contextlib
import json
import socket
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

import redis

from app.connections import connect
from scripts.processes import Problem

# A proxy in the environment is not for this machine's own addresses.
_direct = build_opener(ProxyHandler({}))


def check_port(port: int) -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("", port))
        except OSError as exc:
            raise Problem(
                f"Port {port} cannot be used: {exc.strerror}.\n"
                f"Stop what is using it, or choose another: PORT={port % 65535 + 1} make run"
            ) from None


def check_redis(url: str) -> None:
    """As the app will find it: by whichever Sentinel knows it, and its certificate verified where that is."""
    where = urlsplit(url).netloc.rpartition("@")[2]  # without the password
    try:
        with contextlib.closing(connect(url)) as client:
            client.ping()
    except (redis.RedisError, OSError, ValueError) as exc:
        raise Problem(f"The Redis at {where} cannot be used: {exc}\nIt is named by REDIS_URL (or REDISHOST).") from None


def redis_answers(port: int) -> bool:
    try:
        with contextlib.closing(redis.Redis(port=port, socket_timeout=5)) as client:
            return bool(client.ping())
    except redis.RedisError:  # not there yet, or still reading its data
        return False


def get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body; status 0 and the reason if nothing answers."""
    try:
        with _direct.open(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read()
    except HTTPError as exc:
        return exc.code, exc.read()
    except OSError as exc:
        return 0, str(exc).encode()


def what_is_missing(port: int) -> str | None:
    """Why the app cannot be used yet; None once a person can open the page and a worker will answer."""
    for path in ("/", "/readyz"):
        status, body = get(port, path)
        if status != 200:
            return f"GET {path} gives {status or 'no answer'}: {body[:300].decode(errors='replace')}"
    try:
        workers = json.loads(body)["workers"]
    except (ValueError, TypeError, KeyError):
        return f"/readyz names no workers: {body[:300].decode(errors='replace')}"
    return None if workers else "no worker has been seen"
