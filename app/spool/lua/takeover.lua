-- Take over the claims of drains whose lease has ended: under a new name, so that nothing the old holder says counts
-- any more. ARGV: new drain ids, as many as may be taken over.
-- Returns for each: lane, new drain, its claim without the bytes, and the members that the receiver may have.

local now, taken = now_ms(), {}
if tonumber(call('HGET', K.clock, 'patience') or 0) > now then return taken end
for _, old in ipairs(call('ZRANGE', K.leases, '-inf', now, 'BYSCORE', 'LIMIT', 0, #ARGV)) do
  local found = call('HMGET', K.drain .. old, 'lane', 'site')
  local lane, site = found[1], found[2]
  local members = members_of(old)
  local values = members[1] and load_members(lane, members, false)
  if values then
    local drain = ARGV[#taken + 1]
    call('RENAME', K.drain .. old, K.drain .. drain)
    call('ZADD', K.leases, now + POLICY.lease, drain)
    call('SADD', K.drains .. lane, drain)
    taken[#taken + 1] = { lane, drain, describe(lane, drain, members, values), doubted(drain) }
    call('ZREM', K.leases, old)
    call('SREM', K.drains .. lane, old)
    if site then
      -- Whoever takes over connects to nobody. The clock gives the place to another.
      call('ZREM', K.slots .. site, old)
      call('HDEL', K.drain .. drain, 'site', 'rated')
    end
  else
    forget_drain(lane or '', old, nil, now)
  end
end
return taken
