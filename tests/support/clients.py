"""Chat clients that do what the contract asks of one, over python-socketio's client and over npm's."""

import itertools
import json
import subprocess
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal, Self, TypeVar

import socketio

from tests.support.http_client import Session
from tests.support.processes import PATIENCE, ROOT, eventually, find_program
from tests.support.view import Json, View

NODE_FOLDER = ROOT / "tests" / "support" / "node"
Kind = Literal["python", "npm"]
SERVER_DISCONNECT = "1"  # Socket.IO's packet
T = TypeVar("T")


class Refused(Exception):
    """The server did not let the client in. `data` is what it said about it."""

    def __init__(self, message: str, data: Any) -> None:
        super().__init__(message)
        self.data = data


class Answer:
    """An acknowledgement that may still be on its way."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._there = threading.Event()
        self._value: Any = None

    def arrived(self, *values: Any) -> None:
        self._value = values[0] if values else None
        self._there.set()

    def wait(self, timeout: float = PATIENCE) -> Any:
        if not self._there.wait(timeout):
            raise AssertionError(f"{self._what} was not acknowledged within {timeout:g} s")
        return self._value


class ChatClient(ABC):
    """One socket of a session. `views` is what it shows; `received` every event as it came, in order."""

    def __init__(self, session: Session, url: str) -> None:
        self.session = session
        self.url = url
        self.views: dict[str, View] = {}
        self.received: list[Json] = []
        self.activity: list[Json] = []
        self.other: list[tuple[str, Any]] = []
        self.disconnects: list[str] = []
        self.gaps = 0
        self._changed = threading.Condition(threading.RLock())
        self._opening: dict[str, list[Json]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- What the transports do ---------------------------------------------------------------------------------------

    @abstractmethod
    def connect(self, url: str | None = None, *, auth: Any = ...) -> Self:
        """Raises Refused. `url`: another web process from now on. `auth`: something else than the session's token."""

    @abstractmethod
    def disconnect(self) -> None: ...

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def _emit(self, name: str, args: tuple[Any, ...], arrived: Callable[..., None]) -> None: ...

    # --- What a user of it does ---------------------------------------------------------------------------------------

    def post(self, name: str, *args: Any) -> Answer:
        """Sends an event and does not wait."""
        answer = Answer(name)
        self._emit(name, args, answer.arrived)
        return answer

    def ask(self, name: str, *args: Any, timeout: float = PATIENCE) -> Any:
        """Sends an event; its acknowledgement, whatever it says."""
        return self.post(name, *args).wait(timeout)

    def do(self, name: str, **payload: Any) -> Json:
        """Sends an event that must be accepted; its acknowledgement."""
        answer = self.ask(name, payload)
        assert answer["ok"] is True, answer
        assert isinstance(answer, dict)
        return answer

    def error(self, name: str, *args: Any) -> Json:
        """Sends an event that must be refused; the error."""
        answer = self.ask(name, *args)
        assert isinstance(answer, dict), answer
        assert answer["ok"] is False, answer
        assert set(answer) == {"ok", "error"}
        error: Json = answer["error"]
        assert isinstance(error["code"], str), error
        assert error["message"], error
        return error

    def send(self, text: str, conversation_id: str | None = None, **more: Any) -> Json:
        """Returns the acknowledgement."""
        payload = {"text": text, "client_id": uuid.uuid4().hex, **more}
        if conversation_id is not None:
            payload["conversation_id"] = conversation_id
        return self.do("send_message", **payload)

    def talk(self, text: str, conversation_id: str | None = None, **more: Any) -> Json:
        """Sends and waits for the end; the saved reply."""
        answer = self.send(text, conversation_id, **more)
        reply: Json = self.wait_finished(answer["turn_id"])["message"]
        return reply

    def open(self, conversation_id: str) -> Json:
        """With what the client has; returns the acknowledgement, which is applied."""
        answers: list[Json] = []
        self._reopen(conversation_id, answers.append)
        return self.wait_for(lambda: answers, "open_conversation is acknowledged")[0]

    def view(self, conversation_id: str) -> View:
        return self.views[conversation_id]

    # --- Waiting ------------------------------------------------------------------------------------------------------

    def wait_for(self, condition: Callable[[], T | None], what: str, timeout: float = PATIENCE) -> T:
        """What `condition` returns once it is true; looked at whenever something arrives."""
        with self._changed:
            value = self._changed.wait_for(condition, timeout)
            if not value:
                seen = [(event["type"], event["seq"]) for event in self.received[-30:]]
                raise AssertionError(f"not within {timeout:g} s: {what}\nlast events: {seen}, {self.disconnects=}")
            return value

    def wait_event(self, kind: str, timeout: float = PATIENCE, **fields: Any) -> Json:
        """The first event applied that is of this type and has these fields."""
        return self.wait_for(lambda: self._find(kind, fields), f"{kind} {fields}", timeout)

    def wait_finished(self, turn_id: str, timeout: float = PATIENCE) -> Json:
        return self.wait_event("turn.finished", timeout, turn_id=turn_id)

    def wait_reply(self, conversation_id: str, turn_id: str, timeout: float = PATIENCE) -> Json:
        """The saved reply of a turn as it is shown, however it came there: by events or in a snapshot."""

        def shown() -> Json | None:
            messages = self.views[conversation_id].messages if conversation_id in self.views else []
            replies = (m for m in messages if m["turn_id"] == turn_id and m["role"] == "assistant")
            return next(replies, None)

        return self.wait_for(shown, f"the reply of {turn_id} is shown", timeout)

    def wait_text(self, conversation_id: str, turn_id: str, text: str, timeout: float = PATIENCE) -> None:
        """Until this much of a running turn is shown."""
        self.wait_for(
            lambda: conversation_id in self.views and self.view(conversation_id).text_of(turn_id) == text,
            f"{text!r} is shown",
            timeout,
        )

    def _find(self, kind: str, fields: Json) -> Json | None:
        events = itertools.chain.from_iterable(view.applied for view in self.views.values())
        matching = (e for e in events if e["type"] == kind and all(e.get(k) == v for k, v in fields.items()))
        return next(matching, None)

    # --- The client's loop of the contract ----------------------------------------------------------------------------

    def _arrived(self, name: str, payload: Any) -> None:
        with self._changed:
            if name == "event":
                self.received.append(payload)
                self._take(payload)
            elif name == "activity":
                self.activity.append(payload)
            else:
                self.other.append((name, payload))
            self._changed.notify_all()

    def _take(self, event: Json) -> None:
        conversation_id = event["conversation_id"]
        if conversation_id in self._opening:
            self._opening[conversation_id].append(event)
            return
        view = self.views.get(conversation_id)
        if view is None and event["seq"] == 1:
            view = self.views[conversation_id] = View(event["epoch"])
        if view is not None and view.is_old(event):
            return
        if view is not None and view.is_next(event):
            view.apply(event)
            if not view.lost:
                return
        else:
            self.gaps += 1
        self._reopen(conversation_id, lambda _answer: None)

    def _reopen(self, conversation_id: str, then: Callable[[Json], None]) -> None:
        with self._changed:
            self._opening.setdefault(conversation_id, [])
            view = self.views.get(conversation_id)
            payload: Json = {"conversation_id": conversation_id}
            if view is not None and view.epoch is not None and not view.lost:
                payload |= {"after": view.seq, "epoch": view.epoch}

        def arrived(answer: Json) -> None:
            with self._changed:
                if answer["ok"]:
                    self.views.setdefault(conversation_id, View()).load(answer)
                then(answer)
                for event in self._opening.pop(conversation_id, []):
                    self._take(event)
                self._changed.notify_all()

        self._emit("open_conversation", (payload,), arrived)

    def _disconnected(self, reason: str) -> None:
        with self._changed:
            self.disconnects.append(reason)
            self._opening.clear()
            self._changed.notify_all()


class PythonClient(ChatClient):
    def __init__(self, session: Session, url: str) -> None:
        super().__init__(session, url)
        self._socket = self._make_socket()

    def _make_socket(self) -> Any:
        sio: Any = socketio.Client(reconnection=False, handle_sigint=False)
        # Engine.IO's client handles each message in a thread of its own, which mixes up their order. Only the server's
        # ending of the connection needs one: handling it waits for the reader.
        trigger = sio.eio._trigger_event
        sio.eio._trigger_event = lambda event, *args, **options: trigger(
            event, *args, **{**options, "run_async": args == (SERVER_DISCONNECT,)}
        )
        sio.on("*", self._arrived)
        sio.on("disconnect", lambda reason=None: self._disconnected(str(reason)))
        return sio

    def connect(self, url: str | None = None, *, auth: Any = ..., headers: dict[str, str] | None = None) -> Self:
        self.url = url or self.url
        # It tells that a connection is gone before it can begin another one.
        eventually(
            lambda: not self._socket.connected and self._socket.eio.state == "disconnected", "the last one has ended"
        )
        refusals: list[Any] = []
        self._socket.on("connect_error", refusals.append)
        try:
            self._socket.connect(
                self.url,
                headers=headers or {},
                auth={"token": self.session.token} if auth is ... else auth,
                transports=["websocket"],
                wait_timeout=PATIENCE,
            )
        except socketio.exceptions.ConnectionError as exc:
            said: Json = refusals[0] if refusals and isinstance(refusals[0], dict) else {"message": str(exc)}
            raise Refused(said["message"], said.get("data")) from None
        return self

    def disconnect(self) -> None:
        self._socket.disconnect()
        self._socket = self._make_socket()

    def close(self) -> None:
        self._socket.disconnect()

    def _emit(self, name: str, args: tuple[Any, ...], arrived: Callable[..., None]) -> None:
        self._socket.emit(name, args, callback=arrived)


class NodeClient(ChatClient):
    def __init__(self, session: Session, url: str) -> None:
        super().__init__(session, url)
        assert (NODE_FOLDER / "node_modules" / "socket.io-client").is_dir(), (
            "socket.io-client is missing: run `make install-node` (`make test` does)"
        )
        self._answers: dict[int, Callable[..., None]] = {}
        self._numbers = itertools.count()
        self._states: list[Json] = []
        # It ends by itself when its standard input does, so also when the test run is killed.
        self._process = subprocess.Popen(
            [find_program("node"), "client.mjs"],
            cwd=NODE_FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def connect(self, url: str | None = None, *, auth: Any = ...) -> Self:
        self.url = url or self.url
        with self._changed:
            self._states.clear()
        self._command("connect", url=self.url, auth={"token": self.session.token} if auth is ... else auth)
        state = self.wait_for(lambda: self._states[-1] if self._states else None, "the npm client connects")
        if state["what"] == "refused":
            raise Refused(state["message"], state["data"])
        return self

    def disconnect(self) -> None:
        count = len(self.disconnects)
        self._command("disconnect")
        self.wait_for(lambda: len(self.disconnects) > count, "the npm client disconnects")

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)

    def _emit(self, name: str, args: tuple[Any, ...], arrived: Callable[..., None]) -> None:
        number = next(self._numbers)
        self._answers[number] = arrived
        self._command("emit", number=number, name=name, args=args)

    def _command(self, command: str, **rest: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"command": command, **rest}) + "\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            match said["what"]:
                case "event":
                    self._arrived(said["name"], said.get("payload"))
                case "answer":
                    self._answers.pop(said["number"])(said["answer"])
                case "disconnected":
                    self._disconnected(said["reason"])
                case _:
                    with self._changed:
                        self._states.append(said)
                        self._changed.notify_all()


def make_client(kind: Kind, session: Session, url: str) -> ChatClient:
    return PythonClient(session, url) if kind == "python" else NodeClient(session, url)


def connect_again(client: ChatClient, url: str | None = None) -> None:
    """Once it has noticed that its connection is gone."""

    def connected() -> bool:
        try:
            client.connect(url)
        except ValueError:  # python-socketio says that the connection is gone before it is ready for another one
            return False
        return True

    client.wait_for(lambda: client.disconnects, "the client notices")
    eventually(connected, "it connects again")
