-- Keep an endpoint, and what the publishing steps need of it. ARGV: project, endpoint, record, wanted event types, how
-- many a project may have. Returns 1, or 0 where the project has as many already.

if redis.call('HLEN', K.endpoint .. ARGV[1]) >= tonumber(ARGV[5]) then return 0 end
redis.call('HSET', K.endpoint .. ARGV[1], ARGV[2], ARGV[3])
redis.call('HSET', K.endpoints .. ARGV[1], ARGV[2], ARGV[4])
return 1
