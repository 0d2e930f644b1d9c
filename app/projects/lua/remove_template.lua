-- Remove a template with all its versions, or one version that is not the current one. ARGV: project, name, version or
-- `all`. Returns `removed`, `missing`, or `current`.

local heads, versions = K.templates .. ARGV[1], K.template .. ARGV[1] .. ':' .. ARGV[2]
local head = redis.call('HGET', heads, ARGV[2])
if not head then return 'missing' end
if ARGV[3] == 'all' then
  redis.call('HDEL', heads, ARGV[2])
  redis.call('DEL', versions)
elseif string.match(head, '^%d+ %d+ (%d+) %d+$') == ARGV[3] then
  return 'current'
elseif redis.call('HDEL', versions, ARGV[3]) == 0 then
  return 'missing'
end
return 'removed'
