-- Look after the sites that lanes wait for, find the lanes that are due, and reserve drains for those that deserve
-- some. ARGV: how many of each to look at, and how many lanes may wait in arq, each of its jobs counted as full ('' for
-- any number): the lanes that there is no room for stay due, instead of being rung for again and again.
-- Returns the lanes to wake, and how many sites or lanes were looked at, whichever are more.

local now, wakes, looked_at = now_ms(), {}, 0
local sites = call('ZRANGE', K.sites, '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])
for _, site in ipairs(sites) do
  if called >= MOST_CALLED then break end
  look_after(site, wakes, now)
end
local room = math.huge
if ARGV[2] ~= '' then room = ARGV[2] - call('ZCARD', K.queue) * POLICY.lanes_per_job end
for _, lane in ipairs(call('ZRANGE', K.lanes, '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])) do
  if #wakes >= room then break end
  looked_at = looked_at + 1
  call('ZADD', K.lanes, now + POLICY.look_again, lane)
  if reserve(lane, now) then
    repeat wakes[#wakes + 1] = lane until not reserve(lane, now, true)
  end
end
return { wakes, math.max(looked_at, #sites) }
