-- Remove a domain. ARGV: project, name. Returns how many there were.

call('ZREM', K.domain_checks, ARGV[1] .. '/' .. ARGV[2])
return call('HDEL', K.domains .. ARGV[1], ARGV[2])
