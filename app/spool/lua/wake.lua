-- Look after the sites that lanes wait for, find the lanes that are due, and reserve drains for those that deserve some.
-- ARGV: how many to look at.
-- Returns the lanes to wake, and how many were looked at.

local now, wakes = now_ms(), {}
for _, site in ipairs(call('ZRANGE', K.sites, '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])) do look_after(site, wakes, now) end
local lanes = call('ZRANGE', K.lanes, '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])
for _, lane in ipairs(lanes) do
  call('ZADD', K.lanes, now + POLICY.look_again, lane)
  if reserve(lane, now) then
    repeat wakes[#wakes + 1] = lane until not reserve(lane, now, true)
  end
end
return { wakes, #lanes }
