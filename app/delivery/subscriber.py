"""One Redis pub/sub connection, kept up: channels come and go, and nothing is missed unnoticed."""

import threading
import time
from collections.abc import Callable, Iterator

from redis import Redis
from redis.connection import Connection
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.errors import Unavailable
from app.logs import get_logger

# A silent connection is asked for a sign of life after this, and given up after twice this.
SILENCE_SECONDS = 10.0
CONFIRM_SECONDS = 3.0
LONGEST_PAUSE = 5.0


class Subscriber:
    """Any thread (greenlet) may subscribe; one reads `messages`.

    `reconnected` is called after each new connection but the first, once all channels are confirmed; also where
    `messages` is called again, as its reader had failed.
    """

    def __init__(self, redis: Redis, channels: set[str], reconnected: Callable[[], None] = lambda: None) -> None:
        self._redis = redis
        self._reconnected = reconnected
        self._confirmed: dict[str, threading.Event] = {channel: threading.Event() for channel in channels}
        self._unconfirmed: set[str] = set()  # of those, what the connection at hand has been asked for
        self._connection: Connection | None = None
        self._sending = threading.Lock()
        self._first = True
        self._pause = 0.0
        self._log = get_logger(__name__)

    def subscribe(self, channel: str) -> None:
        """Returns when Redis has confirmed it: what is published from then on will be read.

        Raises Unavailable. The channel is kept, and subscribed when Redis is back, until `unsubscribe`.
        """
        confirmed = self._confirmed.get(channel)
        if confirmed is None:
            confirmed = self._confirmed[channel] = threading.Event()
            self._unconfirmed.add(channel)
            self._send("SUBSCRIBE", channel)
        if not confirmed.wait(CONFIRM_SECONDS):
            raise Unavailable

    def unsubscribe(self, channel: str) -> None:
        if self._confirmed.pop(channel, None) is not None:
            self._unconfirmed.discard(channel)
            self._send("UNSUBSCRIBE", channel)

    def messages(self) -> Iterator[tuple[str, bytes]]:
        """(channel, data), for ever."""
        while True:
            try:
                self._connect()
                yield from self._read()
            except (RedisError, OSError) as exc:
                self._pause = min(LONGEST_PAUSE, self._pause * 2 or 0.1)
                self._log.warning("subscription lost, connecting again", error=str(exc), seconds=self._pause)
            finally:
                self._disconnect()
                self._first = False
            time.sleep(self._pause)

    def _connect(self) -> None:
        connection = self._redis.connection_pool.get_connection()
        self._connection = connection
        self._unconfirmed = set(self._confirmed)
        self._send("SUBSCRIBE", *self._confirmed)

    def _disconnect(self) -> None:
        with self._sending:
            connection, self._connection = self._connection, None
        for confirmed in self._confirmed.values():
            confirmed.clear()
        if connection is not None:
            connection.disconnect()
            self._redis.connection_pool.release(connection)

    def _send(self, *command: str) -> None:
        """Without a connection there is nothing to do: the next one subscribes to all channels. Errors are for the
        reader, who sees the same broken connection."""
        with self._sending:
            # One that broke while its reader was busy would be opened anew by this write, and nobody would ever know.
            if self._connection is None or not self._connection.is_connected:
                return
            try:
                self._connection.send_command(*command, check_health=False)
            except (RedisError, OSError) as exc:
                self._log.warning("message queue cannot be written to", error=str(exc))

    def _read(self) -> Iterator[tuple[str, bytes]]:
        connection = self._connection
        assert connection is not None  # noqa: S101
        level, asked = self._first, False
        while True:
            try:
                answer = connection.read_response(timeout=SILENCE_SECONDS, disconnect_on_error=False)
            except RedisTimeoutError:
                answer = None
            if answer is None:
                if asked:
                    raise RedisTimeoutError("no sign of life")
                self._send("PING")
                asked = True
                continue
            asked = False
            kind = answer[0]
            if kind == b"message":
                yield answer[1].decode(), answer[2]
            elif kind == b"subscribe":
                self._pause = 0.0
                channel = answer[1].decode()
                self._unconfirmed.discard(channel)
                if confirmed := self._confirmed.get(channel):
                    confirmed.set()
                if not level and not self._unconfirmed:
                    level = True
                    self._reconnected()
