"""Rate limit counters in Redis, shared by all processes, one round trip a request.

**The threat.** With counters in each process, N processes admit N times the limit; with a store that needs a
call to count and another to tell what is left, every request waits twice.

**How it works.** It is limits' own Redis storage (over redis-py, on limits' keys, so that its strategy
classes read the same counts) with one more call: a script that counts in all windows of a rate or in none of
them, and returns the counts. The sliding window counter is the one that limits documents.

**Defaults** stand in `RedisStorageConfig`, each with its reason.

**What it does not do.** It bounds no wait and hides no failure: whoever calls it does (`AsyncLimiter` of
rate_limit.py, whose ``shared`` argument it is made for, which also hashes callers before they get here). Redis
must not evict the counters: use ``maxmemory-policy noeviction`` or a database of their own. No Redis Cluster.

**How to lift it.** Copy this file; ``limits>=5.8``, ``redis>=8.1`` (server 5 or later)::

    limiter = AsyncLimiter(shared=RedisWindowStorage("redis://:password@127.0.0.1:6379/0"))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from limits.aio.storage import RedisStorage
from redis.asyncio import BlockingConnectionPool, Redis

if TYPE_CHECKING:
    from collections.abc import Sequence

Window = tuple[int, int]  # (limit in hits, length in seconds)
Counts = tuple[int, int, float]  # (hits in the previous window, in the current one, seconds left of it)


@dataclass(frozen=True, slots=True)
class RedisStorageConfig:
    """The numbers of the storage.

    Attributes:
        max_connections: a round trip of 1 ms lets 16 carry 16 000 hits a second, more than one process
            serves; 50 such processes stay far below Redis' own bound of 10 000 clients.
        key_prefix: first part of each key.
    """

    max_connections: int = 16
    key_prefix: str = "rate-limit"


DEFAULTS = RedisStorageConfig()

# Per window two keys: the current counter lives for two windows' length; when its remaining life has dropped
# to one length it becomes the previous counter. Times in ms. ARGV: amount, then limit and length per window.
# Returns whether it was allowed, then per window: previous hits, current hits, ms left of the current window.
HIT_SCRIPT = """
local amount, allowed, lives, found = tonumber(ARGV[1]), 1, {}, {1}
for i = 1, #KEYS, 2 do
  local limit, length = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local life, previous, current, left = redis.call('PTTL', KEYS[i]), 0, 0, length
  if life > 0 and life <= length then
    redis.call('RENAME', KEYS[i], KEYS[i + 1])
    life = life + length
    redis.call('SET', KEYS[i], 0, 'PX', life)
  end
  if life > 0 then
    previous = tonumber(redis.call('GET', KEYS[i + 1]) or 0)
    current = tonumber(redis.call('GET', KEYS[i]))
    left = life - length
  end
  local carried = math.max(0, math.floor(previous * left / length - 1e-6))
  if carried + current + amount > limit then allowed = 0 end
  lives[i] = life
  table.insert(found, previous)
  table.insert(found, current)
  table.insert(found, left)
end
if allowed == 1 and amount > 0 then
  for i = 1, #KEYS, 2 do
    if lives[i] > 0 then
      redis.call('INCRBY', KEYS[i], amount)
    else
      redis.call('SET', KEYS[i], amount, 'PX', 2 * tonumber(ARGV[i + 2]))
      redis.call('DEL', KEYS[i + 1])
    end
    local at = (i - 1) / 2 * 3 + 3
    found[at] = found[at] + amount
  end
end
found[1] = allowed
return found
"""


class RedisWindowStorage(RedisStorage):
    """limits' Redis storage with one more call: count in all windows, and read them, in one round trip.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, password included; it is in no error and no log.
        config: the numbers.
    """

    def __init__(self, url: str, config: RedisStorageConfig = DEFAULTS) -> None:
        # No timeout and no retry of its own: the caller bounds the whole call, waiting and connecting included.
        self._pool = BlockingConnectionPool.from_url(
            url,
            max_connections=config.max_connections,
            timeout=None,
            socket_timeout=None,
            socket_connect_timeout=None,
            protocol=2,  # with version 3 the client asks for maintenance notices, which nobody reads here
            driver_info=None,  # saves two commands on each new connection
        )
        super().__init__(
            "async+redis://",  # the pool knows where; limits would show the URL in its errors
            implementation="redispy",
            key_prefix=config.key_prefix,
            connection_pool=self._pool,  # type: ignore[arg-type]  # limits hands it to redis-py as it is
        )
        self._script = Redis(connection_pool=self._pool).register_script(HIT_SCRIPT)

    async def hit(self, windows: Sequence[Window], keys: Sequence[str], amount: int = 1) -> tuple[bool, list[Counts]]:
        """Count ``amount`` hits in all windows, or in none if one of them is used up; 0 only looks.

        Returns:
            Whether it was allowed, and the counts of each window after it.

        Raises:
            redis.RedisError: Redis is away or refuses.
        """
        names: list[str] = []
        arguments = [amount]
        for (limit, length), key in zip(windows, keys, strict=True):
            current = self.bridge.prefixed_key(f"{{{key}}}")
            names += (current, f"{current}/-1")
            arguments += (limit, length * 1000)
        found: list[int] = await self._script(names, arguments)
        triples = zip(found[1::3], found[2::3], found[3::3], strict=True)
        return bool(found[0]), [(previous, current, left / 1000) for previous, current, left in triples]

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()
