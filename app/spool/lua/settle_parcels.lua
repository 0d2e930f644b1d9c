-- Act on what became of a claim of parcels, and claim the next ones. ARGV: lane, drain, turn, go on ('1') or end ('0'),
-- wait of the whole endpoint in ms ('' to leave it, '0' to clear it), then for each member: member, its wait in ms
-- ('' when it is done with), and its new value.
-- Returns as settle.lua does.

local lane, drain, turn, now = ARGV[1], ARGV[2], tonumber(ARGV[3]), now_ms()
local place = standing(drain, turn)
if place == 'settled' then return { 'settled', {}, current_claim(lane, drain) } end
if place == 'fenced' then return { 'fenced' } end

local wakes = {}
local exists = call('HEXISTS', K.endpoints .. project_of(lane), string.match(lane, '[^/]+$')) == 1
for i = 6, #ARGV, 3 do
  local member, wait = ARGV[i], ARGV[i + 1]
  if wait == '' or not exists then
    call('HDEL', K.parcels .. lane, member)
  else
    call('HSET', K.parcels .. lane, member, ARGV[i + 2])
    call('ZADD', K.due .. lane, now + tonumber(wait), member)
  end
end

rest(lane, ARGV[5], now)
return proceed(lane, drain, ARGV[4] == '1' and exists, wakes, now)
