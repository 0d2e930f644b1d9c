-- Put addresses on the suppression lists of a project. ARGV: project, then for each: stream, normal form of the address,
-- record. Returns for each the record that stood there before, which stays, or ''.

local before = {}
for i = 2, #ARGV, 3 do
  before[#before + 1] = suppress(ARGV[1] .. ':' .. ARGV[i], ARGV[i + 1], ARGV[i + 2]) or ''
end
return before
