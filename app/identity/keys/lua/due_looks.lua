-- Return domains whose new DKIM records are to be looked for, and let nobody else have them for a while.
-- ARGV: how many at most, that while (ms).

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGE', K.dkim_looks, '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])
for _, name in ipairs(due) do redis.call('ZADD', K.dkim_looks, now + ARGV[2], name) end
return due
