"""What the tests of sites share: a site, and the steps of a drain at it."""

from __future__ import annotations

from datetime import timedelta

from app.ids import ProjectId, new_drain_id
from app.messages import Stream
from app.spool.client import Redis
from app.spool.replies import as_bytes, as_list
from app.spool.workers.claims import MailClaim, MailLane
from app.spool.workers.lanes import Closing, Settlement, Site
from tests.app.spool.conftest import Spool
from tests.fakes.letters import PROJECT, Letter, keep

SITE = Site("mx.example.org", first_window=2, window=4, rest=timedelta(seconds=60))
FREE = timedelta(0)


async def claim(
    spool: Spool,
    domain: str = "example.org",
    *,
    project: ProjectId = PROJECT,
    stream: Stream = Stream.TRANSACTIONAL,
) -> MailClaim:
    """Put a mail for a domain into the spool and claim it."""
    await keep(spool.store, Letter(to=(f"ann@{domain}",), project=project, stream=stream))
    found = await spool.lanes.begin(MailLane(project, stream, domain), new_drain_id())
    assert isinstance(found, MailClaim)
    return found


async def end(spool: Spool, held: MailClaim, *, worked: bool | None = None) -> tuple[str, ...]:
    """Settle a claim as delivered and end its drain; return the lanes to ring for."""
    done = [Settlement(state, None, None) for state in held.states]
    return (await spool.lanes.settle(held, done, Closing(False, site_worked=worked))).wakes


async def put_back(spool: Spool, held: MailClaim) -> tuple[str, ...]:
    waiting = [Settlement(state, FREE, None) for state in held.states]
    return (await spool.lanes.settle(held, waiting, Closing(False))).wakes


async def clock_looks(spool: Spool) -> tuple[str, ...]:
    """Let the clock look at once after all sites that lanes wait for; return the lanes to ring for."""
    for site in as_list(await spool.redis.call("ZRANGE", spool.redis.keys.sites, 0, -1)):
        await spool.redis.call("ZADD", spool.redis.keys.sites, 1, as_bytes(site))
    return (await spool.lanes.wake(100))[0]


_AGING = """
local by = tonumber(ARGV[2])
local zsets = { '%slanes', '%ssites', '%sleases', '%sexpiries', '%sdue:*', '%sslots:*' }
for _, pattern in ipairs(zsets) do
  for _, key in ipairs(redis.call('KEYS', string.format(pattern, ARGV[1]))) do
    for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, -by, member) end
  end
end
for pattern, fields in pairs({ ['%slane:*'] = { 'not_before', 'reserved_until' },
                               ['%ssite:*'] = { 'dead_until', 'used_until' } }) do
  for _, key in ipairs(redis.call('KEYS', string.format(pattern, ARGV[1]))) do
    for _, field in ipairs(fields) do
      if redis.call('HEXISTS', key, field) == 1 then redis.call('HINCRBYFLOAT', key, field, -by) end
    end
  end
end
"""


async def pass_time(redis: Redis, by: timedelta) -> None:
    """Make every time in Redis come nearer, as if so much had passed."""
    prefix = redis.keys.lanes.removesuffix("lanes")
    await redis.call("EVAL", _AGING, 0, prefix, by // timedelta(milliseconds=1))
