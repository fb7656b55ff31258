"""gunicorn's configuration, from the same settings as everything else.

The settings are read in a process of their own: a worker patches the standard library, and what this one had imported
by then (pydantic, ssl) would have been too early for it.
"""

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

_reading = subprocess.run([sys.executable, "-m", "app.settings"], stdout=subprocess.PIPE, check=False)
if _reading.returncode:
    sys.exit(_reading.returncode)
_settings = json.loads(_reading.stdout)


def _every_address() -> str:
    """Railway's private network is IPv6; where there is any, one socket serves both kinds."""
    with suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::", 0))
        if not probe.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
            return "[::]"
    return "0.0.0.0"  # noqa: S104


bind = f"{_every_address()}:{_settings['port']}"
worker_class = "gevent" if _settings["async_mode"] == "gevent" else "app.web.eventlet_worker.EventletWorker"
# Any number of processes may share the port: no session sticks to one.
workers = int(os.environ.get("WEB_CONCURRENCY") or 1)
worker_connections = 10_000
# Within the 30 seconds that Heroku and Railway leave after SIGTERM.
graceful_timeout = 20
# X-Forwarded-* headers are the business of TRUSTED_PROXIES alone.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
# Several servers on one machine would fight over it.
control_socket_disable = True
accesslog = None
loglevel = _settings["log_level"]
# For a client that takes nothing of what waits for it, as long as a WebSocket has.
STALLED_MS = 40_000


def post_fork(_server: Any, worker: Any) -> None:
    """The servers wait for a reader for ever; the kernel does not. What is accepted inherits it from what listens.
    Connections on which there is nothing to send are none of its business."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        for listener in worker.sockets:
            if listener.family in {socket.AF_INET, socket.AF_INET6}:
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_MS)


def _is_news(record: logging.LogRecord) -> bool:
    """Not that somebody was cut off."""
    return not (record.exc_info and isinstance(record.exc_info[1], TimeoutError))


def post_worker_init(worker: Any) -> None:
    """Sockets and streams do not end by themselves: after SIGTERM they are closed; their clients connect elsewhere."""

    def close_sockets_when_it_ends() -> None:
        while worker.alive:
            time.sleep(0.1)
        server = worker.wsgi.extensions["socketio"].server
        # Again and again: for up to a second, gunicorn takes in whoever comes back to this process.
        while True:
            server.manager.listeners.end()
            for connection in list(server.eio.sockets.values()):
                connection.close(wait=False)
            time.sleep(0.1)

    worker.log.error_log.addFilter(_is_news)
    threading.Thread(target=close_sockets_when_it_ends, daemon=True).start()


def worker_exit(_server: Any, worker: Any) -> None:
    if worker.wsgi is not None:  # gunicorn's main process says so as well, and one that did not get as far
        worker.wsgi.extensions["sockets"].leave()
