"""One conversation: somebody who writes fast, repeats what was not acknowledged, stops replies, loses the network."""

import contextlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import requests

from tests.chaos.client import ChaosClient, Unanswered
from tests.chaos.history import Ack, Json, Send, Stop
from tests.support.http_client import Session

# What a client is told when it shall simply try again.
AGAIN = {"unavailable", "queue_full", "busy", "rate_limited"}
MOST_WAITING = 8


@dataclass
class Surroundings:
    """What all drivers share. `over`: no new messages; `given_up`: no repeats either."""

    urls: list[str]
    fault_is_on: Callable[[], bool]
    turns_left: Callable[[], bool]
    over: threading.Event = field(default_factory=threading.Event)
    given_up: threading.Event = field(default_factory=threading.Event)


class Driver(threading.Thread):
    def __init__(self, number: int, seed: int, session: Session, around: Surroundings, *, watched: bool) -> None:
        super().__init__(name=f"conversation {number}", daemon=True)
        self.number = number
        self.session = session
        self.conversation_id: str | None = None
        self.sends: list[Send] = []
        self.stops: list[Stop] = []
        self.refusals: list[str] = []
        self._rng = random.Random(seed)
        self._around = around
        urls = around.urls if number % 2 else around.urls[::-1]
        self.clients = [ChaosClient(f"client {number}", session, urls, random.Random(seed + 1))]
        if watched:
            self.clients.append(ChaosClient(f"watcher {number}", session, urls[::-1], random.Random(seed + 2)))

    # --- What it does -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        try:
            self._begin()
            while not self._around.over.is_set():
                self._burst()
                if self._rng.random() < 0.15:
                    self._rng.choice(self.clients).drop()
                self._let_it_answer()
        except Exception as exc:
            self.refusals.append(f"the driver of conversation {self.number} failed: {type(exc).__name__}: {exc}")

    def _begin(self) -> None:
        send = self._new()
        self._until_acknowledged(send, by_http=False)
        for client in self.clients if self.conversation_id else []:
            client.follow(str(self.conversation_id))

    def _burst(self) -> None:
        """Some messages at once, without waiting for one another's acknowledgements."""
        sends = [self._new() for _ in range(self._rng.randrange(1, 4)) if self._around.turns_left()]
        posted = []
        for send in sends:
            for _ in range(2 if self._rng.random() < 0.1 else 1):
                with contextlib.suppress(Exception):
                    posted.append((send, self.clients[0].post("send_message", self._payload(send))))
        for send, answer in posted:
            with contextlib.suppress(AssertionError):
                self._take(send, answer.wait(2))
        for send in sends:
            if not send.acks or self._rng.random() < 0.05:
                self._until_acknowledged(send, by_http=True)
        for send in sends:
            if send.acks and self._rng.random() < 0.2:
                time.sleep(self._rng.uniform(0, 0.6))
                self._stop_turn(send.acks[0].turn_id)

    def _until_acknowledged(self, send: Send, *, by_http: bool) -> None:
        before = len(send.acks)
        while len(send.acks) == before and not self._around.given_up.is_set():
            try:
                if by_http and self._rng.random() < 0.4:
                    self._take(send, self._post_by_http(send))
                else:
                    client = self._rng.choice(self.clients)
                    self._take(send, client.try_to_ask("send_message", self._payload(send)))
            except (Unanswered, requests.RequestException):
                pass
            if len(send.acks) == before:
                time.sleep(self._rng.uniform(0.05, 0.3))

    def _stop_turn(self, turn_id: str) -> None:
        began, calm = time.monotonic(), not self._around.fault_is_on()
        payload = {"conversation_id": self.conversation_id, "turn_id": turn_id}
        while not self._around.given_up.is_set():
            try:
                client = self._rng.choice(self.clients)
                answer = client.try_to_ask("stop_turn", payload)
            except Unanswered:
                calm = False
                time.sleep(0.1)
                continue
            if answer["ok"]:
                took = time.monotonic() - began
                calm = calm and not self._around.fault_is_on()
                self.stops.append(Stop(str(self.conversation_id), turn_id, answer["status"], took, calm))
                return
            calm = False
            if answer["error"]["code"] not in AGAIN:
                self.refusals.append(f"stop of {turn_id}: {answer['error']}")
                return
            time.sleep(0.1)

    def _let_it_answer(self) -> None:
        """Goes on after a moment, or when few enough wait."""
        deadline = time.monotonic() + 5
        time.sleep(self._rng.uniform(0.05, 0.5))
        while time.monotonic() < deadline and self._waiting() > 1 and not self._around.over.is_set():
            if self._waiting() < MOST_WAITING and self._rng.random() < 0.02:
                return
            time.sleep(0.05)

    def _waiting(self) -> int:
        view = self.clients[0].views.get(str(self.conversation_id))
        return len(view.turns) if view else 0

    # --- Sending ----------------------------------------------------------------------------------------------------

    def _new(self) -> Send:
        number = len(self.sends) + 1
        text = f"q{self.number}-{number}"
        send = Send(str(self.conversation_id), f"k{self.number}-{number}", text, time.monotonic())
        self.sends.append(send)
        return send

    def _payload(self, send: Send) -> Json:
        payload = {"text": send.text, "client_id": send.client_id}
        if self.sends[0] is not send and self.conversation_id is not None:
            payload["conversation_id"] = self.conversation_id
        return payload

    def _post_by_http(self, send: Send) -> Json:
        url = f"{self._rng.choice(self._around.urls)}/api/conversations/{self.conversation_id}/messages"
        headers = {"Authorization": f"Bearer {self.session.token}"}
        body = {"text": send.text, "client_id": send.client_id}
        answer = requests.post(url, json=body, headers=headers, timeout=5)
        return {"ok": answer.status_code == 202, **answer.json()}

    def _take(self, send: Send, answer: Json) -> None:
        if not answer["ok"]:
            if answer["error"]["code"] not in AGAIN:
                self.refusals.append(f"send of {send.text}: {answer['error']}")
            return
        if self.conversation_id is None:
            self.conversation_id = send.conversation = answer["conversation_id"]
        elif answer["conversation_id"] != self.conversation_id:
            self.refusals.append(f"{send.text} went to {answer['conversation_id']}, not {self.conversation_id}")
        ack = Ack(answer["turn_id"], answer["message_id"], answer["epoch"], answer["seq"], time.monotonic())
        send.acks.append(ack)
