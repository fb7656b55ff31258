"""A network between clients and one server that can fall silent, as a wireless one does: nobody is told."""

import contextlib
import socket
import threading

from tests.support.ports import free_port, stop_listening

_BYTES = 1 << 16


class Network:
    """Passes everything on. While it is silent, connections are accepted and stay open, and nothing gets through."""

    def __init__(self, server_port: int) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._passing = threading.Event()
        self._passing.set()
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def fall_silent(self) -> None:
        self._passing.clear()

    def fall_silent_for_those_connected(self) -> None:
        """For ever; new connections work."""
        self._passing.clear()
        self._passing = threading.Event()
        self._passing.set()

    def recover(self) -> None:
        """What was on the way arrives late, as TCP has it."""
        self._passing.set()

    def recover_without_its_connections(self) -> None:
        """What was on the way is lost, and whoever speaks on an old connection hears that it is gone."""
        before, self._passing = self._passing, threading.Event()
        self._passing.set()
        self._end_all()
        before.set()

    def close(self) -> None:
        stop_listening(self._listener)
        self._end_all()
        self._passing.set()

    def _end_all(self) -> None:
        while self._sockets:
            one = self._sockets.pop()
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                threading.Thread(target=self._serve, args=(client, self._passing), daemon=True).start()

    def _serve(self, client: socket.socket, passing: threading.Event) -> None:
        passing.wait()
        try:
            server = socket.create_connection(("127.0.0.1", self._server_port))
        except OSError:
            client.close()
            return
        self._sockets.append(server)
        back = threading.Thread(target=self._pass_on, args=(server, client, passing), daemon=True)
        back.start()
        self._pass_on(client, server, passing)
        back.join()
        client.close()
        server.close()

    def _pass_on(self, source: socket.socket, target: socket.socket, passing: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_BYTES):
                passing.wait()
                target.sendall(data)
        passing.wait()
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
