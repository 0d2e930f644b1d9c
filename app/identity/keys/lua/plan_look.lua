-- Plan the next look for the new DKIM records of a domain, if it waits for any. ARGV: its name, in how many ms.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZADD', K.dkim_looks, 'XX', now + ARGV[2], ARGV[1])
