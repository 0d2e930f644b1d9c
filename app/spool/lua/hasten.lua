-- Move members to the head of their lanes, where the next drain finds their time ended; a lane that waits is woken too.
-- ARGV: for each: lane, member. Returns the lanes to wake.

local now, wakes = now_ms(), {}
for i = 1, #ARGV, 2 do
  local lane = ARGV[i]
  if call('ZADD', K.due .. lane, 'XX', 'CH', 0, ARGV[i + 1]) == 1 then
    call('HDEL', K.lane .. lane, 'not_before')
    schedule(lane)
    if reserve(lane, now) then wakes[#wakes + 1] = lane end
  end
end
return wakes
