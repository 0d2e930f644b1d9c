-- Return domains whose records are to be checked now, as `<project>/<name>`, and let nobody else have them for a while.
-- ARGV: how many at most, that while (ms).

local now, due = now_ms(), {}
for _, member in ipairs(call('ZRANGE', K.domain_checks, '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])) do
  call('ZADD', K.domain_checks, now + ARGV[2], member)
  table.insert(due, member)
end
return due
