"""gunicorn's worker for ASYNC_MODE=eventlet: gunicorn 26 dropped its own, so this runs eventlet's server."""

import os
import sys
from contextlib import suppress
from typing import Any

import eventlet
import eventlet.wsgi
from eventlet.greenio import GreenSocket
from greenlet import GreenletExit
from gunicorn.workers.base import Worker

LOOK_SECONDS = 1.0
# For the next request of a connection, and for more of one that has begun. A vanished client sends neither.
KEEP_ALIVE_SECONDS = 75.0
SOCKET_SECONDS = 60.0


class EventletWorker(Worker):
    alive: bool

    def init_process(self) -> None:
        eventlet.monkey_patch()
        super().init_process()

    def run(self) -> None:
        servers = [eventlet.spawn(self._serve, GreenSocket(listener.sock)) for listener in self.sockets]
        while self.alive and os.getppid() == self.ppid:
            self.notify()
            eventlet.sleep(LOOK_SECONDS)
        self.alive = False
        for server in servers:
            server.kill()
        # Each ends when the last of its requests has been answered.
        with eventlet.Timeout(self.cfg.graceful_timeout, False):
            for server in servers:
                with suppress(GreenletExit):
                    server.wait()

    def _serve(self, listener: GreenSocket) -> None:
        try:
            eventlet.wsgi.server(
                listener,
                self._app,
                custom_pool=eventlet.GreenPool(self.cfg.worker_connections),
                # An answer that streams is sent as it comes.
                minimum_chunk_size=1,
                keepalive=KEEP_ALIVE_SECONDS,
                socket_timeout=SOCKET_SECONDS,
                log_output=False,
                debug=False,
            )
        except Exception:
            self.log.exception("eventlet's server ended")
            sys.exit(1)

    def _app(self, environ: dict[str, Any], start_response: Any) -> Any:
        # Its input ends where the body does, also of a request that comes in chunks; eventlet does not say so.
        environ["wsgi.input_terminated"] = True
        return self.wsgi(environ, start_response)

    def handle_exit(self, _sig: int, _frame: Any) -> None:
        self.alive = False
