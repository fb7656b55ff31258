"""What tasks/ relies on in Celery and kombu without their promise. A release that changes it fails."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from celery.events.dispatcher import EventDispatcher
from celery.worker import pidbox
from celery.worker.components import Consumer as ConsumerStep
from celery.worker.consumer import Consumer as StockConsumer
from celery.worker.consumer.consumer import Evloop
from celery.worker.consumer.control import Control as StockControl
from celery.worker.consumer.events import Events as StockEvents
from celery.worker.loops import synloop
from kombu.connection import Connection
from kombu.transport.redis import MultiChannelPoller
from kombu.utils.functional import retry_over_time

from app.settings import Settings
from tasks.celery_app import make_celery
from tasks.consumer import STOCK_CONTROL, Consumer, Control
from tasks.events import BatchedEvents
from tests.support.processes import ROOT, clean_environment

PROVIDER = '[{"name": "none", "base_url": "http://127.0.0.1:1/v1", "models": ["none"]}]'


def test_the_worker_takes_our_consumer() -> None:
    celery = make_celery(Settings(redis_url="redis://127.0.0.1:1/0"))
    assert celery.conf.worker_consumer == f"{Consumer.__module__}:{Consumer.__qualname__}"
    assert "w.consumer_cls" in inspect.getsource(ConsumerStep.create)


def test_the_consumer_connects_through_ensure_connected() -> None:
    for name in ("connection_for_read", "connection_for_write"):
        assert "self.ensure_connected(" in inspect.getsource(getattr(StockConsumer, name))
    accepted = inspect.signature(Connection._ensure_connection).parameters
    assert {"errback", "interval_start", "interval_step", "interval_max", "callback"} <= set(accepted)


def test_the_loop_looks_for_hints_with_a_timeout() -> None:
    assert "connection.drain_events(timeout=2.0)" in inspect.getsource(synloop)
    assert list(inspect.signature(synloop).parameters)[:2] == ["obj", "connection"]
    assert "c.loop(*c.loop_args())" in inspect.getsource(Evloop.start)
    assert "sleep(min(timeout, 1)" in inspect.getsource(MultiChannelPoller.get)


def test_one_step_of_the_consumer_is_replaced() -> None:
    stock, ours = StockConsumer.Blueprint.default_steps, Consumer.Blueprint.default_steps
    assert stock.count(STOCK_CONTROL) == 1
    assert [(a, b) for a, b in zip(stock, ours, strict=True) if a != b] == [(STOCK_CONTROL, Control)]
    bound = inspect.getsource(StockControl.__init__)
    for name in ("is_green", "box", "start", "stop", "shutdown"):
        assert f"self.{name} = " in bound


def test_the_worker_makes_our_event_dispatcher() -> None:
    assert issubclass(make_celery(Settings(redis_url="redis://127.0.0.1:1/0")).events.Dispatcher, BatchedEvents)
    assert "c.app.events.Dispatcher(" in inspect.getsource(StockEvents.start)
    accepted = inspect.signature(EventDispatcher.__init__).parameters
    assert {"buffer_group", "buffer_limit", "on_send_buffered"} <= set(accepted)
    sent = inspect.getsource(EventDispatcher.send)
    assert "if group in self.buffer_group:" in sent
    assert "self.on_send_buffered()" in sent


def test_the_mailbox_is_begun_and_ended_as_before() -> None:
    assert "spawn_n(self.loop, c)" in inspect.getsource(pidbox.gPidbox.start)
    ended = inspect.getsource(pidbox.gPidbox.on_stop)
    assert "self._node_shutdown.set()" in ended
    assert "self._node_stopped.wait()" in ended
    assert list(inspect.signature(pidbox.gPidbox._do_reset).parameters) == ["self", "c", "connection"]
    assert "_resets" in vars(pidbox.gPidbox)


WORKER = """
import sys, time
sys.argv = ["celery", "--app", "celery_worker", "worker", "--pool", {mode!r}]
from celery import maybe_patch_concurrency
maybe_patch_concurrency()
import celery_worker
from kombu.utils.functional import retry_over_time
print(retry_over_time.__globals__["sleep"] is time.sleep, time.sleep.__module__.partition(".")[0])
"""


@pytest.mark.parametrize("mode", ["gevent", "eventlet"])
def test_a_wait_for_the_broker_stops_nobody_else(mode: str, tmp_path: Path) -> None:
    assert "sleep(" in inspect.getsource(retry_over_time)
    environ = {
        **clean_environment(tmp_path),
        "ASYNC_MODE": mode,
        "SECRET_KEY": "0123456789abcdef",
        "PROVIDERS": PROVIDER,
    }
    done = subprocess.run(
        [sys.executable, "-c", WORKER.format(mode=mode)],
        check=False,
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["True", mode], done.stderr
