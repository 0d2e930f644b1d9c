-- Keep an MTA-STS policy. ARGV: domain, policy, how long it lives (ms), after how long it is refreshed (ms).

local key, now = K.sts .. ARGV[1], now_ms()
call('HSET', key, 'policy', ARGV[2])
call('HSETNX', key, 'used', now)
call('PEXPIRE', key, ARGV[3])
call('ZADD', K.sts_due, now + ARGV[4], ARGV[1])
