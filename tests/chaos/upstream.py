"""What the model says, and how it fails. Each answer begins with its number, so that two are never taken for one."""

import random
import threading
from collections import defaultdict
from typing import Literal

from tests.chaos.history import Said
from tests.support.upstream import Drop, Pause, Request, Script, Stall, Step

Trouble = Literal["refusing", "dropping", "stalling", "empty"]
RATE = 40.0  # tokens a second


class Sayings:
    """Answers requests. While there is `trouble`, about half of them meet it."""

    def __init__(self, seed: int) -> None:
        self.trouble: Trouble | None = None
        self.met = 0
        self._rng = random.Random(seed)
        self._lock = threading.Lock()
        self._said: dict[str, list[tuple[Request, list[str], bool]]] = defaultdict(list)

    def respond(self, request: Request) -> Script:
        question = request.last_user_text
        with self._lock:
            number = len(self._said[question]) + 1
            tokens = [f"#{number}", *(f" {question}.{place}" for place in range(self._rng.randrange(3, 30)))]
            trouble = self.trouble if self._rng.random() < 0.5 else None
            script = self._script(trouble, tokens)
            self._said[question].append((request, tokens, trouble is None))
            self.met += trouble is not None
        return script

    def said(self) -> dict[str, list[Said]]:
        """By question: what was really sent, whether or not anybody read it."""
        return {
            question: [
                Said("".join(tokens[: request.tokens_sent]), whole=whole and request.tokens_sent == len(tokens))
                for request, tokens, whole in answers
            ]
            for question, answers in self._said.items()
        }

    def _script(self, trouble: Trouble | None, tokens: list[str]) -> Script:
        cut = self._rng.randrange(len(tokens))
        steps: list[Step] = list(tokens[:cut])
        match trouble:
            case "refusing":
                return Script.error(500, "chaos")
            case "dropping":
                return Script([*steps, Drop(reset=self._rng.random() < 0.5)], rate=RATE)
            case "stalling":
                return Script([*steps, Stall()], rate=RATE)
            case "empty":
                return Script([])
            case None:
                return Script(tokens, before_headers=[Pause(self._rng.uniform(0, 0.3))], rate=RATE)
