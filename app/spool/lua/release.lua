-- Take an address off suppression lists of a project. ARGV: project, normal form of the address, streams.
-- Returns how many lists it was on.

local removed = 0
for i = 3, #ARGV do
  local list = ARGV[1] .. ':' .. ARGV[i]
  removed = removed + call('HDEL', K.suppressions .. list, ARGV[2])
  call('ZREM', K.suppressed .. list, ARGV[2])
end
return removed
