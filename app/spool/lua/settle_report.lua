-- Act on what became of the claim of a report, and claim the next one. ARGV: lane, drain, turn, go on ('1') or end
-- ('0'), wait of the whole lane in ms ('' to leave it), member, its wait in ms ('' when it is done with).
-- Returns as settle.lua does.

local lane, drain, turn, now = ARGV[1], ARGV[2], tonumber(ARGV[3]), now_ms()
local place = standing(drain, turn)
if place == 'settled' then return { 'settled', {}, current_claim(lane, drain) } end
if place == 'fenced' then return { 'fenced' } end

if ARGV[7] == '' then
  call('DEL', K.report .. ARGV[6])
else
  call('ZADD', K.due .. lane, now + tonumber(ARGV[7]), ARGV[6])
end
rest(lane, ARGV[5], now)
return proceed(lane, drain, ARGV[4] == '1', {}, now)
