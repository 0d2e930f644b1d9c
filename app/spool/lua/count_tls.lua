-- Count how TLS went with recipient domains, and let the report of each day wait in the lane of reports. ARGV: lane, most
-- fields of a domain, most reports that may wait, seconds that a count is kept, then for each: member, when it is
-- reported (ms), field, the field to count in where the domain has too many, how often.

local lane = ARGV[1]
for i = 5, #ARGV, 5 do
  local member, counts, field = ARGV[i], K.report .. ARGV[i], ARGV[i + 2]
  local exists = call('EXISTS', counts) == 1
  if not exists and call('ZCARD', K.due .. lane) < tonumber(ARGV[3]) then
    call('HSET', counts, field, 0)
    call('EXPIRE', counts, ARGV[4])
    call('ZADD', K.due .. lane, ARGV[i + 1], member)
    exists = true
  end
  if exists then
    if call('HLEN', counts) >= tonumber(ARGV[2]) and call('HEXISTS', counts, field) == 0 then field = ARGV[i + 3] end
    call('HINCRBY', counts, field, ARGV[i + 4])
  end
end
schedule(lane)
