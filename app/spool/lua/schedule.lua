-- What every atomic step builds on, second part: when a lane wants a drain.

-- Put the lane into the clock's table at the time it next wants a drain, or take it out when nothing is due ever.
local function schedule(lane)
  local first = call('ZRANGE', K.due .. lane, 0, 0, 'WITHSCORES')
  if not first[1] then
    call('ZREM', K.lanes, lane)
    -- While a drain holds the last members, the lane must remember its failures.
    if call('SCARD', K.drains .. lane) == 0 then call('DEL', K.lane .. lane) end
    return
  end
  local not_before = tonumber(call('HGET', K.lane .. lane, 'not_before') or 0)
  call('ZADD', K.lanes, math.max(tonumber(first[2]), not_before), lane)
end

-- Whether the backlog deserves one more drain, or mail has waited so long that the drains there are must be stuck
-- (`by_backlog` leaves that aside). Returns nil, or the number of reserved places and when they lapse.
local function room_for_drain(lane, now, by_backlog)
  local backlog = call('ZCOUNT', K.due .. lane, '-inf', now)
  if backlog == 0 then return nil end
  local policy = POLICY[kind_of(lane)]
  local state = call('HMGET', K.lane .. lane, 'reserved', 'reserved_until', 'not_before', 'failures')
  if tonumber(state[3] or 0) > now then return nil end
  local reserved = tonumber(state[2] or 0) > now and tonumber(state[1]) or 0
  local most = state[4] and 1 or policy.drains
  local busy = call('SCARD', K.drains .. lane) + reserved
  local places = 1 + math.floor((backlog - 1) / policy.per_drain)
  local oldest = tonumber(call('ZRANGE', K.due .. lane, 0, 0, 'WITHSCORES')[2])
  if not by_backlog and now - oldest > POLICY.longest_wait then places = math.max(places, busy + 1) end
  if busy >= math.min(most, places) then return nil end
  -- All lapse together, counted from the first: places whose jobs were lost must not last as long as mail comes in.
  return reserved, reserved > 0 and state[2] or now + POLICY.reservation
end

-- Reserve a place for one more drain where there is room for it. The place lapses by itself, so that a lost job costs
-- only time. Returns whether the alarm should ring for the lane.
local function reserve(lane, now, by_backlog)
  local reserved, lapse = room_for_drain(lane, now, by_backlog)
  if not reserved then return false end
  call('HSET', K.lane .. lane, 'reserved', reserved + 1, 'reserved_until', lapse)
  return true
end
