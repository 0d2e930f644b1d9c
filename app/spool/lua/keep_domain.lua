-- Keep a new domain. ARGV: project, name, record, how many a project may have, how soon it is checked (ms).
-- Returns 'kept', 'taken' or 'too_many'.

local domains = K.domains .. ARGV[1]
if call('HEXISTS', domains, ARGV[2]) == 1 then return 'taken' end
if call('HLEN', domains) >= tonumber(ARGV[4]) then return 'too_many' end
call('HSET', domains, ARGV[2], ARGV[3])
call('ZADD', K.domain_checks, now_ms() + ARGV[5], ARGV[1] .. '/' .. ARGV[2])
return 'kept'
