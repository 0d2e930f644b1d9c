-- Find open messages whose time has ended. ARGV: how many. Each is looked at again later, should it still be open then.
-- Returns the messages.

local now, found = now_ms(), {}
for _, id in ipairs(call('ZRANGE', K.expiries, '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])) do
  local message = call('HGET', K.message .. id, 'm')
  if message then
    found[#found + 1] = message
    call('ZADD', K.expiries, now + POLICY.expire_again, id)
  else
    call('ZREM', K.expiries, id)
  end
end
return found
