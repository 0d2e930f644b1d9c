-- Return domains whose MTA-STS policies are due for a refresh, and let nobody else have them for a while.
-- ARGV: how many at most, that while (ms), after how long without mail a policy is refreshed no more (ms).

local now, due = now_ms(), {}
for _, domain in ipairs(call('ZRANGE', K.sts_due, '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])) do
  local used = call('HGET', K.sts .. domain, 'used')
  if used and now - used < tonumber(ARGV[3]) then
    call('ZADD', K.sts_due, now + ARGV[2], domain)
    table.insert(due, domain)
  else
    call('ZREM', K.sts_due, domain)
  end
end
return due
