-- Keep the result of a check of a domain, unless the domain is another than the one that was checked. ARGV: project,
-- name, the record that was checked, the record now, how soon the next check is due (ms), type of the event ('' for
-- none), event, its number.
-- Returns 'kept' and the lanes to wake, or 'changed'.

local project, name, wakes, now = ARGV[1], ARGV[2], {}, now_ms()
local domains = K.domains .. project
if call('HGET', domains, name) ~= ARGV[3] then return { 'changed' } end
call('HSET', domains, name, ARGV[4])
call('ZADD', K.domain_checks, now + ARGV[5], project .. '/' .. name)
if ARGV[6] ~= '' then tell(project, ARGV[6], name .. '/' .. ARGV[8], ARGV[8], ARGV[7], now, wakes) end
return { 'kept', unpack(wakes) }
