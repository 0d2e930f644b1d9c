-- Keep a version of a template. ARGV: project, name, where it goes (`new`, `current`, `beside`), now (ms), record, how many
-- templates a project and how many versions a template may have. Returns its number, or a word that says why not.

local heads, versions = K.templates .. ARGV[1], K.template .. ARGV[1] .. ':' .. ARGV[2]
local head = redis.call('HGET', heads, ARGV[2])
if ARGV[3] == 'new' then
  if head then return 'taken' end
  if redis.call('HLEN', heads) >= tonumber(ARGV[6]) then return 'too_many_templates' end
  head = ARGV[4] .. ' 0 0 0'
elseif not head then
  return 'missing'
elseif redis.call('HLEN', versions) >= tonumber(ARGV[7]) then
  return 'too_many_versions'
end
local created, _, current, last = string.match(head, '^(%d+) (%d+) (%d+) (%d+)$')
last = string.format('%d', last + 1)
if ARGV[3] ~= 'beside' then current = last end
redis.call('HSET', heads, ARGV[2], table.concat({ created, ARGV[4], current, last }, ' '))
redis.call('HSET', versions, last, ARGV[5])
return last
