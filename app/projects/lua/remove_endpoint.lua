-- Remove an endpoint with all that waits for it; a drain at work on it finds it gone when it settles.
-- ARGV: project, endpoint, its lane. Returns how many endpoints were removed: 1 or 0.

local removed = redis.call('HDEL', K.endpoint .. ARGV[1], ARGV[2])
if removed == 1 then
  redis.call('HDEL', K.endpoints .. ARGV[1], ARGV[2])
  redis.call('HDEL', K.dropped .. ARGV[1], ARGV[2])
  redis.call('DEL', K.due .. ARGV[3], K.parcels .. ARGV[3], K.lane .. ARGV[3])
  redis.call('ZREM', K.lanes, ARGV[3])
end
return removed
