-- What every atomic step builds on, third part: how many drains one receiving system is given at a time.
--
-- A site's places are a sorted set: drains that hold one (no end), and lanes that are invited to take one (until a
-- moment soon). Lanes that find no place wait in the order of `waiting_score`; whoever leaves invites the next.

local BULK = 1e12 -- what the score of a waiting lane of the bulk stream begins with: behind all others
local FOREVER = '+inf'

local function is_bulk(lane)
  return string.match(lane, '^mail/[^/]+/([^/]+)/') == 'bulk'
end

local function window_of(site)
  local found = call('HMGET', K.site .. site, 'window', 'first')
  return tonumber(found[1] or found[2] or 1)
end

local function free_places(site, now)
  return math.floor(window_of(site)) - call('ZCOUNT', K.slots .. site, now, FOREVER)
end

-- Start-time fair queueing between projects: each waits behind its own last turn, not behind the others' many lanes.
local function waiting_score(site, lane)
  local kind = is_bulk(lane) and 'bulk:' or 'transactional:'
  local turns = call('HMGET', K.site .. site, kind .. 'turn', kind .. project_of(lane))
  local start = math.max(tonumber(turns[1] or 0), tonumber(turns[2] or 0))
  call('HSET', K.site .. site, kind .. project_of(lane), start + 1)
  return start + (is_bulk(lane) and BULK or 0)
end

-- Let a lane wait for a place, at most for a while: it looks again by itself, should nobody invite it.
local function wait_for_place(site, lane, now)
  if not call('ZSCORE', K.waiting .. site, lane) then
    call('ZADD', K.waiting .. site, waiting_score(site, lane), lane)
  end
  call('HSET', K.lane .. lane, 'not_before', now + POLICY.wait_for_place)
end

-- Give free places to the lanes that wait, for a moment. Lanes that want no drain any more are passed over.
local function invite(site, wakes, now)
  local free = free_places(site, now)
  while free > 0 do
    local first = call('ZPOPMIN', K.waiting .. site)
    if not first[1] then return end
    local lane, kind = first[1], is_bulk(first[1]) and 'bulk:' or 'transactional:'
    call('HSET', K.site .. site, kind .. 'turn', tonumber(first[2]) % BULK)
    call('HDEL', K.lane .. lane, 'not_before')
    schedule(lane)
    if reserve(lane, now) then
      wakes[#wakes + 1] = lane
      call('ZADD', K.slots .. site, now + POLICY.invitation, 'lane:' .. lane)
      free = free - 1
    end
  end
end

-- Give the places of drains that are no more to others.
local function clear_slots(site)
  for _, holder in ipairs(call('ZRANGE', K.slots .. site, 0, -1)) do
    if string.sub(holder, 1, 5) ~= 'lane:' and call('EXISTS', K.drain .. holder) == 0 then
      call('ZREM', K.slots .. site, holder)
    end
  end
end

-- Let a drain in, or return how long its lane has to wait (ms). Who is invited comes before who just happens to ask.
local function enter(site, lane, drain, wakes, now)
  local dead_until = tonumber(call('HGET', K.site .. site, 'dead_until') or 0)
  if dead_until > now then
    call('HSET', K.lane .. lane, 'not_before', dead_until)
    return dead_until - now
  end
  if call('ZREM', K.slots .. site, 'lane:' .. lane) == 0 then
    if free_places(site, now) <= 0 then clear_slots(site) end
    invite(site, wakes, now)
    if free_places(site, now) <= 0 then
      wait_for_place(site, lane, now)
      return POLICY.wait_for_place
    end
  end
  call('ZADD', K.slots .. site, FOREVER, drain)
  call('HSET', K.drain .. drain, 'site', site, 'entered', call('HGET', K.drain .. drain, 'turn'))
  return 0
end

-- Whether a drain has to leave its site after this mail, since others wait: bulk for transactional at once, else after
-- a number of mails.
local function must_yield(lane, drain)
  local place = call('HMGET', K.drain .. drain, 'site', 'entered', 'turn')
  local first = place[1] and call('ZRANGE', K.waiting .. place[1], 0, 0, 'WITHSCORES')
  if not first or not first[1] then return false end
  local waits_bulk = tonumber(first[2]) >= BULK
  if is_bulk(lane) ~= waits_bulk then return is_bulk(lane) end
  return tonumber(place[3]) - tonumber(place[2]) >= POLICY.mails_per_turn
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
    call('HSET', key, 'window', first, 'cohorts', 0, 'dead_until', now + tonumber(found[5] or 0))
  else
    call('HSET', key, 'window', math.max(window - 1, 1), 'cohorts', cohorts)
  end
end
