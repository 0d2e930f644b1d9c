-- Let a domain be checked after a time, if it is there. ARGV: project, name, that time (ms).

call('ZADD', K.domain_checks, 'XX', now_ms() + ARGV[3], ARGV[1] .. '/' .. ARGV[2])
