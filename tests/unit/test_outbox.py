"""What waits for a client that does not read, in a patched process of either kind."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ROOT, clean_environment

CHILD = """
import sys
if sys.argv[1] == "gevent":
    from gevent import monkey
    monkey.patch_all()
else:
    import eventlet
    eventlet.monkey_patch()
import json, socket, time, tracemalloc
from engineio.packet import MESSAGE, Packet
from app.delivery.outbox import Outbox

ours, theirs = socket.socketpair()
ours.settimeout(20)
theirs.settimeout(20)
outbox = Outbox()
outbox.put(Packet(MESSAGE, "early"))
outbox.open(ours)
{steps}
received = b""
while data := theirs.recv(65536):
    received += data
contents, cut_short = [], False
while received:
    size, start = received[1], 2
    if size >= 126:
        start = 4 if size == 126 else 10
        size = int.from_bytes(received[2:start], "big")
    cut_short = len(received) < start + size
    contents.append([received[0], received[start:start + size].decode()])
    received = received[start + size:]
if cut_short:
    contents.pop()
print(json.dumps({{"contents": contents, "cut_short": cut_short, "held": held}}))
"""
TEXT, CLOSE = 0x81, 0x88
EARLY = [TEXT, "4early"]
SIZE = 100_000


def after(mode: str, steps: str, folder: Path) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", CHILD.format(steps=steps), mode],
        check=False,
        cwd=ROOT,
        env=clean_environment(folder),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def large(number: int) -> list[Any]:
    return [TEXT, "4" + chr(97 + number) * SIZE]


@pytest.fixture(params=["gevent", "eventlet"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_all_is_written_in_order_before_the_connection_is_closed(mode: str, tmp_path: Path) -> None:
    steps = (
        f"for number in range(8): outbox.put(Packet(MESSAGE, chr(97 + number) * {SIZE}))\n"
        "outbox.write(b'\\x8a\\x00')\noutbox.put(None)\noutbox.put(Packet(MESSAGE, 'late'))\nheld = 0"
    )
    got = after(mode, steps, tmp_path)
    assert not got["cut_short"]
    assert got["contents"] == [EARLY, *map(large, range(8)), [0x8A, ""], [CLOSE, ""]]


def test_a_client_that_lets_too_much_wait_is_cut_off_and_holds_no_memory(mode: str, tmp_path: Path) -> None:
    steps = (
        "time.sleep(0)\ntracemalloc.start()\n"
        f"for number in range(300): outbox.put(Packet(MESSAGE, chr(97 + number % 26) * {SIZE})); time.sleep(0)\n"
        "held = tracemalloc.get_traced_memory()[0]"
    )
    got = after(mode, steps, tmp_path)
    assert got["contents"] == [EARLY, *map(large, range(len(got["contents"]) - 1))], "whole frames, none missing"
    assert len(got["contents"]) < 26
    assert got["held"] < 2_000_000


def test_a_long_frame_and_what_follows_it_may_take_their_time(mode: str, tmp_path: Path) -> None:
    """A snapshot of a long conversation, to somebody with a slow connection, while a reply goes on."""
    steps = (
        "outbox.put(Packet(MESSAGE, 'a' * 5_000_000))\ntime.sleep(0)\n"
        "for number in range(200): outbox.put(Packet(MESSAGE, str(number))); time.sleep(0)\n"
        "outbox.put(None)\nheld = 0"
    )
    got = after(mode, steps, tmp_path)
    expected = [EARLY, [TEXT, "4" + "a" * 5_000_000], *([TEXT, f"4{number}"] for number in range(200)), [CLOSE, ""]]
    assert got["contents"] == expected
