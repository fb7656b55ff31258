"""What a provider allows in a minute, shared by all workers, so that it need not say no."""

from collections.abc import Mapping
from dataclasses import dataclass

from redis import Redis

# Of a minute's budget, this part may be used at once; the rest flows back evenly. Together never more than a minute's.
_BURST = 0.1
_MINUTE_MS = 60_000

# Each key is the time up to which its budget is spent. ARGV: the milliseconds that may be ahead, then for each key what
# this costs, in milliseconds. With a first argument of -1 the cost is charged without asking.
# Returns the milliseconds to wait, 0 if it has been charged.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ahead, wait, spent = tonumber(ARGV[1]), 0, {}
for i, key in ipairs(KEYS) do
  spent[i] = math.max(now, tonumber(redis.call('GET', key) or 0))
  if ahead >= 0 then wait = math.max(wait, spent[i] - now - ahead) end
end
if wait > 0 then return math.ceil(wait) end
for i, key in ipairs(KEYS) do
  local until_then = spent[i] + tonumber(ARGV[i + 1])
  redis.call('SET', key, string.format('%.3f', until_then), 'PX', math.ceil(until_then - now) + 1000)
end
return 0
"""


@dataclass(frozen=True, slots=True)
class Rates:
    """Per minute; None for no limit."""

    requests: int | None = None
    tokens: int | None = None


class Budget:
    """Every method is one round trip, or none for a provider without limits, and raises redis-py's errors."""

    def __init__(self, redis: Redis, rates: Mapping[str, Rates]) -> None:
        self._rates = rates
        self._script = redis.register_script(_TAKE)

    def take(self, provider: str, tokens: int) -> float:
        """For a request with so many tokens: seconds to wait before asking again, or 0 if it may be sent."""
        return self._charge(provider, 1, tokens, int(_BURST * _MINUTE_MS))

    def spend(self, provider: str, tokens: int) -> None:
        """What came back."""
        self._charge(provider, 0, tokens, -1)

    def _charge(self, provider: str, requests: int, tokens: int, ahead: int) -> float:
        rates = self._rates.get(provider, Rates())
        costs = {
            f"parley:budget:{kind}:{provider}": amount * _MINUTE_MS / (limit * (1 - _BURST))
            for kind, amount, limit in (("requests", requests, rates.requests), ("tokens", tokens, rates.tokens))
            if limit and amount
        }
        return int(self._script(list(costs), [ahead, *costs.values()])) / 1000 if costs else 0.0
