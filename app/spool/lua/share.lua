-- Keep a part for messages that are about to be accepted, unless it is there. ARGV: project, name, bytes.
-- Without a message it goes away soon.

local part = part_of(ARGV[1], ARGV[2])
if call('HSETNX', part, 'octets', ARGV[3]) == 1 or call('HLEN', part) == 1 then
  call('PEXPIRE', part, POLICY.part_linger)
end
return 1
