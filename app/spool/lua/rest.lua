-- Let a source rest at a site; a rest that ends later stays. ARGV: site, source, for how long (ms).

local now, rests = now_ms(), K.rests .. ARGV[1]
call('ZREMRANGEBYSCORE', rests, '-inf', now)
call('ZADD', rests, 'GT', now + tonumber(ARGV[3]), ARGV[2])
call('PEXPIREAT', rests, call('ZRANGE', rests, -1, -1, 'WITHSCORES')[2])
return true
