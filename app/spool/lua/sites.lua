-- What every atomic step builds on, third part: how many drains one receiving system is given at a time, and how fast.
--
-- A site's places are a sorted set: drains that hold one (no end), and lanes that are invited to take one (until a
-- moment soon). Lanes that find no place wait in the order of `waiting_score`. Whoever leaves invites the next, and so
-- does the clock, which looks after every site that lanes wait for.
--
-- A rate is kept as one time (the generic cell rate algorithm): each mail moves `used_until` on by `interval`, and it
-- may be ahead of now by no more than POLICY.burst. An invitation is paid for when it is made.

local BULK = 1e12 -- what the score of a waiting lane of the bulk stream begins with: behind all others
local FOREVER = '+inf'
local MOST_CALLED = 2000 -- lanes that one step calls or passes over: more would keep Redis from others
local called = 0 -- how many this step has called or passed over, at all its sites

local function is_bulk(lane)
  return string.match(lane, '^mail/[^/]+/([^/]+)/') == 'bulk'
end

-- How far a rate is used up beyond now (ms). What is farther than it can be comes from another clock or another rate.
local function ahead_of(interval, used_until, now)
  local ahead = math.max(tonumber(used_until or 0) - now, 0)
  return ahead <= math.max(POLICY.burst, interval) + 1 and ahead or 0
end

-- How much of a rate may be unused before it is lost, beside the mail that may always go (ms).
local function slack_of(interval)
  return math.max(POLICY.burst - interval, 0)
end

-- Take mails out of the site's rate, if it has one; a negative number gives them back.
local function spend(site, mails, now)
  local found = call('HMGET', K.site .. site, 'interval', 'used_until')
  local interval = tonumber(found[1] or '')
  if interval then
    call('HSET', K.site .. site, 'used_until', now + ahead_of(interval, found[2], now) + mails * interval)
  end
end

-- How many more drains may enter now: none while the site rests, and no more than its rate allows mails.
local function free_places(site, now)
  local found = call('HMGET', K.site .. site, 'window', 'first', 'dead_until', 'interval', 'used_until')
  if tonumber(found[3] or 0) > now then return 0 end
  local free = math.floor(tonumber(found[1] or found[2] or 1)) - call('ZCARD', K.slots .. site)
  local interval = tonumber(found[4] or '')
  if not interval then return free end
  return math.min(free, math.floor((slack_of(interval) - ahead_of(interval, found[5], now)) / interval) + 1)
end

-- How long the site still wants to be left alone (ms); zero or less where it does not.
local function rest_left(site, now)
  return tonumber(call('HGET', K.site .. site, 'dead_until') or 0) - now
end

-- Start-time fair queueing between projects: each waits behind its own last turn, not behind the others' many lanes.
-- Returns where the lane's next turn starts, and counts it; `begins` says that it starts now.
local function count_turn(site, lane, begins)
  local kind = is_bulk(lane) and 'bulk:' or 'transactional:'
  local turns = call('HMGET', K.site .. site, kind .. 'turn', kind .. project_of(lane))
  local start = math.max(tonumber(turns[1] or 0), tonumber(turns[2] or 0))
  call('HSET', K.site .. site, kind .. project_of(lane), start + 1, kind .. 'turn', begins and start or turns[1] or 0)
  return start
end

local function waiting_score(site, lane)
  return count_turn(site, lane, false) + (is_bulk(lane) and BULK or 0)
end

-- Let a lane wait until it is invited. That it looks again by itself after very long is for what nobody thought of.
local function wait_for_place(site, lane, now)
  if not call('ZSCORE', K.waiting .. site, lane) then
    call('ZADD', K.waiting .. site, waiting_score(site, lane), lane)
    call('ZADD', K.sites, 'NX', now + POLICY.look_again, site)
  end
  call('HSET', K.lane .. lane, 'not_before', now + POLICY.wait_for_place)
end

-- Forget invitations that nobody came for in time, and give back what they paid.
local function forget_lapsed(site, now)
  local lapsed = call('ZREMRANGEBYSCORE', K.slots .. site, '-inf', now)
  if lapsed > 0 then spend(site, -lapsed, now) end
end

-- Give free places to the lanes that wait, for a moment: to each for one drain, and it gets no other meanwhile. Lanes
-- that want no drain any more are passed over.
local function invite(site, wakes, now)
  forget_lapsed(site, now)
  local free, invited = free_places(site, now), 0
  while invited < free and called < MOST_CALLED do
    local first = call('ZPOPMIN', K.waiting .. site)
    if not first[1] then break end
    called = called + 1
    local lane, kind = first[1], is_bulk(first[1]) and 'bulk:' or 'transactional:'
    call('HSET', K.site .. site, kind .. 'turn', tonumber(first[2]) % BULK)
    call('HDEL', K.lane .. lane, 'not_before')
    if reserve(lane, now) then
      wakes[#wakes + 1] = lane
      local ends = now + POLICY.invitation
      invited = invited + call('ZADD', K.slots .. site, ends, 'lane:' .. lane)
      call('HSET', K.lane .. lane, 'not_before', ends, 'invited', site)
    end
    schedule(lane)
  end
  if invited > 0 then spend(site, invited, now) end
end

-- Take up the lane's invitation; whether there was one that still holds.
local function accept_invitation(site, lane, now)
  local ends = call('ZSCORE', K.slots .. site, 'lane:' .. lane)
  if not ends or tonumber(ends) <= now or rest_left(site, now) > 0 then return false end
  call('ZREM', K.slots .. site, 'lane:' .. lane)
  call('HDEL', K.lane .. lane, 'not_before', 'invited')
  return true
end

-- Give up the invitation of a lane that turned out to need no drain; the clock invites another.
local function decline_invitation(site, lane, now)
  if call('ZREM', K.slots .. site, 'lane:' .. lane) == 1 then spend(site, -1, now) end
  call('HDEL', K.lane .. lane, 'not_before', 'invited')
  schedule(lane)
end

-- Take a lane out of the line, its invitation too: it has to rest, and would be called for nothing, again and again.
local function leave_line(site, lane, now)
  local waits, invited = call('ZREM', K.waiting .. site, lane), call('ZREM', K.slots .. site, 'lane:' .. lane)
  if invited == 1 then spend(site, -1, now) end
  if waits + invited > 0 then call('HDEL', K.lane .. lane, 'not_before', 'invited') end
end

-- The score of the first lane that waits beside this one; nil where no other does.
local function first_other(site, lane)
  local first = call('ZRANGE', K.waiting .. site, 0, 1, 'WITHSCORES')
  return tonumber(first[first[1] == lane and 4 or 2])
end

-- Let a drain in, or return how long its lane has to wait (ms). Those who wait come before who just happens to ask,
-- save bulk before transactional.
local function enter(site, lane, drain, wakes, now)
  local is_invited = accept_invitation(site, lane, now)
  if not is_invited then
    forget_lapsed(site, now)
    local other = first_other(site, lane)
    if other and (is_bulk(lane) or other < BULK) then invite(site, wakes, now) end
    if free_places(site, now) > 0 then
      spend(site, 1, now)
      count_turn(site, lane, true)
    elseif not accept_invitation(site, lane, now) then
      wait_for_place(site, lane, now)
      return math.max(rest_left(site, now), POLICY.look_again)
    end
  end
  call('ZADD', K.slots .. site, FOREVER, drain)
  call('HSET', K.drain .. drain, 'site', site, 'entered', call('HGET', K.drain .. drain, 'turn'))
  if is_invited and room_for_drain(lane, now, true) then
    wait_for_place(site, lane, now)
    invite(site, wakes, now)
  end
  return 0
end

-- Whether the drain's next mail has to wait for the site's rate; if not, it is paid for.
local function exceeds_rate(site, lane, now)
  if call('ZCOUNT', K.due .. lane, '-inf', now) == 0 then return false end
  local found = call('HMGET', K.site .. site, 'interval', 'used_until')
  local interval = tonumber(found[1] or '')
  if not interval then return false end
  if ahead_of(interval, found[2], now) > slack_of(interval) then return true end
  spend(site, 1, now)
  return false
end

-- Whether a drain has to leave its site after this mail: since the site wants to be left alone, since others wait (bulk
-- for transactional at once, else after a number of mails, or after one where there is a rate), or for the rate.
local function must_yield(lane, drain, now)
  local place = call('HMGET', K.drain .. drain, 'site', 'entered', 'turn', 'rated')
  local site = place[1]
  if not site then return false end
  if rest_left(site, now) > 0 then return true end
  local other, is_rated = first_other(site, lane), place[4] == '1'
  if other and is_bulk(lane) ~= (other >= BULK) then
    if is_bulk(lane) then return true end
  elseif other and (is_rated or tonumber(place[3]) - tonumber(place[2]) >= POLICY.mails_per_turn) then
    return true
  end
  return is_rated and exceeds_rate(site, lane, now)
end

-- Let the site rest for at least `ms` from now.
local function let_rest(site, ms, now)
  local until_ms = now + tonumber(ms)
  if until_ms - now > rest_left(site, now) then call('HSET', K.site .. site, 'dead_until', until_ms) end
end

-- The published Postfix concurrency feedback, with feedback 1 both ways: a mail through widens the window while it is
-- the limit, a failed connection narrows it, and as many failures in a row as the window is wide let the site rest.
local function feedback(site, worked, wakes, now)
  local key = K.site .. site
  local found = call('HMGET', key, 'window', 'first', 'most', 'cohorts', 'rest')
  local first, most, cohorts = tonumber(found[2] or 1), tonumber(found[3] or 1), tonumber(found[4] or 0)
  local window = tonumber(found[1] or first)
  if worked then
    local busy = call('ZCARD', K.slots .. site)
    local wider = math.min(window < busy + first and window + 1 or window, most)
    if cohorts > 0 or wider ~= window then
      call('HSET', key, 'window', wider, 'cohorts', 0)
      invite(site, wakes, now)
    end
    return
  end
  cohorts = cohorts + 1 / window
  if cohorts >= 1 - 1e-9 then
    call('HSET', key, 'window', first, 'cohorts', 0)
    let_rest(site, found[5] or 0, now)
  else
    call('HSET', key, 'window', math.max(window - 1, 1), 'cohorts', cohorts)
  end
end

-- Take back the places of drains that are no more.
local function clear_slots(site)
  for _, holder in ipairs(call('ZRANGE', K.slots .. site, 0, -1)) do
    if string.sub(holder, 1, 5) ~= 'lane:' and call('EXISTS', K.drain .. holder) == 0 then
      call('ZREM', K.slots .. site, holder)
    end
  end
end

-- When the clock has to look after a site again: once its rest is over, or its rate allows a mail.
local function next_look(site, now)
  local found = call('HMGET', K.site .. site, 'dead_until', 'interval', 'used_until')
  local rested, interval, allowed = tonumber(found[1] or 0), tonumber(found[2] or ''), 0
  if interval then allowed = now + ahead_of(interval, found[3], now) - slack_of(interval) end
  return math.min(math.max(now + POLICY.look_again, rested, allowed), now + POLICY.longest_look)
end

-- Do for a site that lanes wait for what whoever left it could not: see places that were lost, and times that have
-- come. It is done with the site when none waits and no invitation is left that would lapse unseen.
local function look_after(site, wakes, now)
  call('EXPIRE', K.site .. site, POLICY.site_memory_s)
  clear_slots(site)
  invite(site, wakes, now)
  if call('EXISTS', K.waiting .. site) == 0 and call('ZCOUNT', K.slots .. site, '-inf', '(+inf') == 0 then
    call('ZREM', K.sites, site)
  else
    call('ZADD', K.sites, next_look(site, now), site)
  end
end
