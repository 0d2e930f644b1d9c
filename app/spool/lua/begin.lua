-- Give a drain its place in a lane and its first claim. ARGV: lane, drain.
-- Returns the claim, or false where the lane has drains enough or nothing due.

local lane, drain, now = ARGV[1], ARGV[2], now_ms()
if call('EXISTS', K.drain .. drain) == 1 then return current_claim(lane, drain) end
local state = call('HMGET', K.lane .. lane, 'reserved', 'failures', 'invited')
if tonumber(state[1] or 0) > 0 then call('HINCRBY', K.lane .. lane, 'reserved', -1) end
local most = state[2] and 1 or POLICY[kind_of(lane)].drains
if call('SCARD', K.drains .. lane) >= most then
  if state[3] then decline_invitation(state[3], lane, now) end
  return false
end
call('SADD', K.drains .. lane, drain)
call('HSET', K.drain .. drain, 'lane', lane)
return claim(lane, drain, {}, now)
