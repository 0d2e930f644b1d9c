-- Make a version of a template the current one. ARGV: project, name, version, now (ms). Returns 1, or 0 without such a version.

local heads, versions = K.templates .. ARGV[1], K.template .. ARGV[1] .. ':' .. ARGV[2]
local head = redis.call('HGET', heads, ARGV[2])
if not head or redis.call('HEXISTS', versions, ARGV[3]) == 0 then return 0 end
local created, _, _, last = string.match(head, '^(%d+) (%d+) (%d+) (%d+)$')
redis.call('HSET', heads, ARGV[2], table.concat({ created, ARGV[4], ARGV[3], last }, ' '))
return 1
