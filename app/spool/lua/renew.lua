-- Prolong the leases of a process' drains. ARGV: drains. Returns those whose lease was taken over or ended.

local now, lost = now_ms(), {}
for _, drain in ipairs(ARGV) do
  if call('EXISTS', K.drain .. drain) == 1 then
    call('ZADD', K.leases, 'XX', now + POLICY.lease, drain)
  else
    lost[#lost + 1] = drain
  end
end
return lost
