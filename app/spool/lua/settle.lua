-- Act on what became of a claim of mail, and claim the next one. ARGV: lane, drain, turn, go on ('1') or end ('0'),
-- wait of the whole lane in ms ('' to leave it, '0' to clear it), attempt record ('' for none), seconds to keep a
-- finished message, end of the message's time (ms), how the site did ('1' a mail went through, '0' it could not be
-- reached, '' nothing is to be said of it), how long the whole site shall rest by its own words (ms or ''), the name of
-- the bytes ('raw', or 'raw<i>' where the only member has them alone), then for each member: member, state, wait in ms
-- ('' when final), event type ('' where no endpoint is told), event ('' where there is no fact to tell), state to report
-- by mail ('' for none), why the address is suppressed from now on ('' where it is not).
-- Returns 'fenced' when the claim is no longer this drain's; else 'settled', the lanes to wake, the next claim or
-- false.

local lane, drain, turn, now = ARGV[1], ARGV[2], tonumber(ARGV[3]), now_ms()
local place = standing(drain, turn)
if place == 'settled' then return { 'settled', {}, current_claim(lane, drain) } end
if place == 'fenced' then return { 'fenced' } end

local project, wakes, id, notice = project_of(lane), {}, message_of(ARGV[12]), nil
local message, expires, copy, open = K.message .. id, tonumber(ARGV[8]), ARGV[11], nil
if ARGV[6] ~= '' then
  call('HSET', message, 'a' .. call('HINCRBY', message, 'tries', 1), ARGV[6])
end
for i = 12, #ARGV, 7 do
  local member, wait = ARGV[i], ARGV[i + 2]
  call('HSET', message, 'r' .. index_of(member), ARGV[i + 1])
  if ARGV[i + 4] ~= '' then publish(project, id, ARGV[i + 3], ARGV[i + 4], now, wakes) end
  if ARGV[i + 5] ~= '' then
    notice = notice or id .. '/' .. call('HGET', message, 'seq')
    report(id, notice, index_of(member), ARGV[i + 5])
  end
  if ARGV[i + 6] ~= '' then
    local address = call('HGET', message, 't' .. index_of(member))
    if address then suppress(list_of(lane), address, ARGV[i + 6]) end
  end
  if wait == '' then
    open = call('HINCRBY', message, 'open', -1)
  else
    local due = now + tonumber(wait)
    -- A worker whose clock is behind may not see that the time has ended: then too, no try follows at once.
    call('ZADD', K.due .. lane, now < expires and math.min(due, expires) or due, member)
  end
end
if notice then call_for_report(project, notice, now, wakes) end
if open and copy ~= 'raw' then call('HDEL', message, copy) end
if open and open <= 0 then finish(project, id, ARGV[7]) end

local site = call('HGET', K.drain .. drain, 'site')
if ARGV[5] ~= '' and ARGV[5] ~= '0' then
  local line = site or call('HGET', K.lane .. lane, 'invited')
  if line then leave_line(line, lane, now) end
end
rest(lane, ARGV[5], now)
if site and ARGV[9] ~= '' then feedback(site, ARGV[9] == '1', wakes, now) end
if site and ARGV[10] ~= '' then let_rest(site, ARGV[10], now) end
local go_on = ARGV[4] == '1'
if go_on and must_yield(lane, drain, now) then
  go_on = false
  wait_for_place(site, lane, now)
end
return proceed(lane, drain, go_on, wakes, now)
