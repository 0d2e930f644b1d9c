-- Return domains whose keys have grown old at a moment. ARGV: the moment (ms), how many at most.

return redis.call('ZRANGE', K.dkim_domains, '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[2])
