"""How much one session and one address may have, counted in Redis, so the same on all processes.

`limits` reads the rates. Its own strategies ask for one window in one round trip; here all windows of a turn, and
whether it is one at all, are one question, and a turn that one of them refuses is counted in none. One that is refused
later, for another reason, gives back what it took.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from limits import parse, parse_many
from redis import Redis

from app.errors import AppError, NotFound, RateLimited
from app.ledger.keys import is_conversation_id, turns_key

# A process that was killed releases nothing: its connections are forgotten after this.
LEASE_SECONDS = 45
# A conversation that is imported counts once more for each of these.
IMPORT_BYTES = 200_000

# Moving windows: each key is the list of when its last `amount` were, the latest first.
# KEYS[1]: where `field` (ARGV[1]) says that this has been accepted already, then it is no new one. KEYS[2…]: windows.
# ARGV[2]: how often it counts, at most as often as there may be any in a window. ARGV[3…]: amount and milliseconds for
# each of them. Returns the milliseconds to wait, 0 if it may be, and when it was counted, 0 if it was not.
_TAKE = """
if ARGV[1] ~= '' and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return { 0, 0 } end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local wait = 0
for i = 2, #KEYS do
  local amount = tonumber(ARGV[2 * i - 1])
  local first = tonumber(redis.call('LINDEX', KEYS[i], amount - math.min(ARGV[2], amount)))
  -- (One that is yet to come was counted before the clock was set back, and keeps nobody waiting.)
  if first and first <= now then wait = math.max(wait, first + ARGV[2 * i] - now) end
end
if wait > 0 then return { wait, 0 } end
for i = 2, #KEYS do
  local amount = tonumber(ARGV[2 * i - 1])
  for _ = 1, math.min(ARGV[2], amount) do redis.call('LPUSH', KEYS[i], now) end
  redis.call('LTRIM', KEYS[i], 0, amount - 1)
  redis.call('PEXPIRE', KEYS[i], ARGV[2 * i])
end
return { 0, now }
"""
# KEYS: windows. ARGV: when they were taken from.
_GIVE_BACK = "for _, key in ipairs(KEYS) do redis.call('LREM', key, 1, ARGV[1]) end"

# KEYS: each a set of connections → when the lease of one ends. ARGV: the lease in ms, the most there may be in a set
# (0: not asked), and for each key a connection. Returns 0 if there are too many.
_LEASE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease, most = tonumber(ARGV[1]), tonumber(ARGV[2])
for i, key in ipairs(KEYS) do
  if most > 0 then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    if redis.call('ZCARD', key) >= most then return 0 end
  end
  redis.call('ZADD', key, now + lease, ARGV[i + 2])
  redis.call('PEXPIRE', key, lease)
end
return 1
"""

Window = tuple[str, int, int]


class Limits:
    """Every method is one round trip, and raises redis-py's errors."""

    def __init__(
        self,
        redis: Redis,
        *,
        turns: str,
        turns_ip: str,
        sessions_ip: str,
        connections_ip: int,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._redis = redis
        self._lease = int(lease_seconds * 1000)
        self._turns = _windows("turns", turns)
        self._turns_ip = _windows("turns-ip", turns_ip)
        self._conversations_ip = _windows("conversations-ip", turns_ip)
        self._sessions_ip = _windows("sessions-ip", sessions_ip)
        self._connections_ip = connections_ip
        self._take_script = redis.register_script(_TAKE)
        self._give_back_script = redis.register_script(_GIVE_BACK)
        self._lease_script = redis.register_script(_LEASE)

    @contextmanager
    def turn(self, owner: str, address: str, conversation_id: str, client_id: str) -> Iterator[None]:
        """Counts a turn that is asked for within; not one that was accepted before, nor one that is refused.

        Raises RateLimited."""
        if not is_conversation_id(conversation_id):
            raise NotFound
        windows = [*_of(owner, self._turns), *_of(address, self._turns_ip)]
        wait, taken = self._take(windows, turns_key(conversation_id), f"c:{client_id}")
        if wait:
            raise RateLimited(f"Too many messages. The next one is taken {_in_words(wait)}.", retry_after=wait)
        try:
            yield
        except AppError:
            if taken:
                self._give_back_script([key for key, _, _ in windows], [taken])
            raise

    def session(self, address: str) -> None:
        """Counts a new session. Raises RateLimited."""
        wait, _ = self._take(_of(address, self._sessions_ip))
        if wait:
            raise RateLimited(f"Too many new sessions from here. Try again {_in_words(wait)}.", retry_after=wait)

    def conversation(self, address: str, size: int = 0) -> None:
        """Counts one that is made without a turn, of so many bytes: there may be as many small ones as turns, and one
        of any size. Raises RateLimited."""
        wait, _ = self._take(_of(address, self._conversations_ip), times=1 + size // IMPORT_BYTES)
        if wait:
            raise RateLimited(f"Too many new conversations from here. Try again {_in_words(wait)}.", retry_after=wait)

    def connect(self, address: str, connection: str) -> None:
        """Counts a connection until it is released, or no longer renewed. Raises RateLimited."""
        if not self._lease_script([_connections_key(address)], [self._lease, self._connections_ip, connection]):
            raise RateLimited(
                f"Too many connections from here: {self._connections_ip} are allowed. Close some.", retry_after=10
            )

    def renew(self, leases: Sequence[tuple[str, str]]) -> None:
        """`leases`: (address, connection) of each."""
        keys = [_connections_key(address) for address, _ in leases]
        self._lease_script(keys, [self._lease, 0, *(connection for _, connection in leases)])

    def release(self, leases: Sequence[tuple[str, str]]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for address, connection in leases:
            pipeline.zrem(_connections_key(address), connection)
        pipeline.execute()

    def _take(
        self, windows: Sequence[Window], accepted: str = "", field: str = "", *, times: int = 1
    ) -> tuple[float, int]:
        """(seconds to wait, or 0 if it has been counted; when that was, 0 if it need not be)."""
        keys = [accepted, *(key for key, _, _ in windows)]
        numbers = [number for _, *numbers in windows for number in numbers]
        wait, taken = self._take_script(keys, [field, times, *numbers])
        return math.ceil(int(wait) / 100) / 10, int(taken)


class Bucket:
    """A rate within one process: `rate` at once, and as much again over its period."""

    __slots__ = ("_amount", "_free_at", "_step")

    def __init__(self, amount: int, seconds: float) -> None:
        self._step = seconds / amount
        self._amount = amount
        self._free_at = -math.inf

    @classmethod
    def of(cls, rate: str) -> "Bucket":
        item = parse(rate)
        return cls(item.amount, item.get_expiry())

    def take(self, now: float) -> float:
        """Seconds to wait, or 0 if one has been taken."""
        begin = max(now, self._free_at)
        if (wait := begin - now - self._step * (self._amount - 1)) > 0:
            return wait
        self._free_at = begin + self._step
        return 0.0


def _windows(name: str, rates: str) -> list[Window]:
    return [
        (f"parley:limit:{name}:{item.get_expiry()}:", item.amount, item.get_expiry() * 1000)
        for item in parse_many(rates)
    ]


def _of(whom: str, windows: Sequence[Window]) -> list[Window]:
    return [(prefix + whom, amount, milliseconds) for prefix, amount, milliseconds in windows]


def _connections_key(address: str) -> str:
    return f"parley:connections:{address}"


def _in_words(seconds: float) -> str:
    whole = math.ceil(seconds)
    return f"in {whole} second{'s' if whole > 1 else ''}" if whole < 120 else f"in {math.ceil(seconds / 60)} minutes"
