-- What every atomic step builds on, last part: claims, drains, and what is told.

-- The members to claim next: of mail, the recipients of one message that lie beside each other, for one transaction.
local function next_members(lane, now)
  local most = POLICY[kind_of(lane)].batch
  local due = call('ZRANGE', K.due .. lane, '-inf', now, 'BYSCORE', 'LIMIT', 0, 2)
  if kind_of(lane) == 'mail' and (not due[2] or message_of(due[1]) ~= message_of(due[2])) then
    return { due[1] }
  end
  local members = {}
  for _, member in ipairs(call('ZRANGE', K.due .. lane, '-inf', now, 'BYSCORE', 'LIMIT', 0, most)) do
    if kind_of(lane) == 'mail' and message_of(member) ~= message_of(due[1]) then break end
    members[#members + 1] = member
  end
  return members
end

-- What a worker needs of the members it holds; nil where their message is gone. `with_bytes` adds the bytes on the
-- wire. Of mail: the message, its bytes, the state of each member, and then why each is suppressed, or false. Where a
-- recipient has bytes or a return path of its own it goes with nobody, and all but the first are taken out of `members`.
local function load_members(lane, members, with_bytes)
  if kind_of(lane) == 'report' then return load_report(members[1]) end
  if kind_of(lane) == 'endpoint' then
    return call('HMGET', K.parcels .. lane, unpack(members))
  end
  local fields = { 'm', with_bytes and 'raw' or 'm' }
  for _, member in ipairs(members) do fields[#fields + 1] = 'r' .. index_of(member) end
  local addresses = #fields + 1
  for _, member in ipairs(members) do fields[#fields + 1] = 't' .. index_of(member) end
  local id = message_of(members[1])
  local values = call('HMGET', K.message .. id, unpack(fields))
  if not values[1] then return nil end
  local copy = values[2]
  if not copy or members[2] and call('HEXISTS', K.message .. id, 'single') == 1 then
    copy = copy or call('HGET', K.message .. id, 'raw' .. index_of(members[1]))
    values, addresses = { values[1], copy, values[3], values[addresses] }, 4
    for i = #members, 2, -1 do members[i] = nil end
  end
  if with_bytes then values[2] = with_parts(project_of(lane), id, values[2]) end
  look_up(list_of(lane), values, addresses)
  return values
end

-- Let a message go that nothing is left to do of: its common bytes now, the rest after so many seconds.
local function finish(project, id, seconds)
  drop_parts(project, id)
  call('HDEL', K.message .. id, 'raw')
  call('EXPIRE', K.message .. id, seconds)
  call('ZREM', K.expiries, id)
end

-- A claim as it is answered: the drain's turn, the members, what load_members gives, the lane's failures in a row, and
-- the time.
local function describe(lane, drain, members, values)
  return {
    tonumber(call('HGET', K.drain .. drain, 'turn')), members, values,
    tonumber(call('HGET', K.lane .. lane, 'failures') or 0), now_ms(),
  }
end

local function members_of(drain)
  local text = call('HGET', K.drain .. drain, 'members') or ''
  local members = {}
  for member in string.gmatch(text, '%S+') do members[#members + 1] = member end
  return members
end

-- The members whose final dot may have been sent in this turn, as far as their message asks to write that down.
local function doubted(drain)
  local found = call('HMGET', K.drain .. drain, 'turn', 'doubt')
  local turn, members = string.match(found[2] or '', '^(%d+) (.*)$')
  return turn == found[1] and members or ''
end

-- End a drain: its lease, its place in the lane, and its place at a site, which goes to the lane that waits for it
-- (left to the clock where nobody is there to ring: without `wakes`). A drain that went to no site gives up the lane's
-- invitation.
local function forget_drain(lane, drain, wakes, now)
  local site = call('HGET', K.drain .. drain, 'site')
  call('ZREM', K.leases, drain)
  call('SREM', K.drains .. lane, drain)
  call('DEL', K.drain .. drain)
  if site then
    call('ZREM', K.slots .. site, drain)
    if wakes then invite(site, wakes, now) end
    return
  end
  local invited = call('HGET', K.lane .. lane, 'invited')
  if invited then decline_invitation(invited, lane, now) end
end

-- Claim the next members for a drain, or end the drain when nothing is due.
-- Returns the claim or false; adds to `wakes` the lanes whose alarm should ring.
local function claim(lane, drain, wakes, now)
  while true do
    local members = next_members(lane, now)
    if not members[1] then
      forget_drain(lane, drain, wakes, now)
      schedule(lane)
      return false
    end
    local values = load_members(lane, members, true)
    call('ZREM', K.due .. lane, unpack(members))
    if values then
      call('HINCRBY', K.drain .. drain, 'turn', 1)
      call('HSET', K.drain .. drain, 'members', table.concat(members, ' '))
      call('ZADD', K.leases, now + POLICY.lease, drain)
      schedule(lane)
      return describe(lane, drain, members, values)
    end
  end
end

-- The claim that a drain holds now, for a caller whose last reply was lost on the way.
local function current_claim(lane, drain)
  local members = members_of(drain)
  local values = members[1] and load_members(lane, members, true)
  return values and describe(lane, drain, members, values) or false
end

-- Let the whole lane rest for `wait` ms, or ('0') forget its failures. Drains that fail together count once.
local function rest(lane, wait, now)
  if wait == '0' then
    call('HDEL', K.lane .. lane, 'failures', 'not_before')
  elseif wait ~= '' and tonumber(call('HGET', K.lane .. lane, 'not_before') or 0) <= now then
    call('HINCRBY', K.lane .. lane, 'failures', 1)
    call('HSET', K.lane .. lane, 'not_before', now + tonumber(wait))
  end
end

-- Whether the claim of that turn is the drain's; if it is the one before, its settlement was done and the answer lost.
local function standing(drain, turn)
  local held = tonumber(call('HGET', K.drain .. drain, 'turn') or -1)
  return held == turn and 'held' or held == turn + 1 and 'settled' or 'fenced'
end

-- Go on with the next claim or end the drain; the answer of every settlement.
local function proceed(lane, drain, go_on, wakes, now)
  if go_on then
    local following = claim(lane, drain, wakes, now)
    return { 'settled', wakes, following }
  end
  forget_drain(lane, drain, wakes, now)
  schedule(lane)
  if reserve(lane, now) then wakes[#wakes + 1] = lane end
  return { 'settled', wakes, false }
end

-- Hand one fact to every endpoint that wants its kind, as a parcel of that name.
-- Adds to `wakes` the lanes whose alarm should ring.
local function tell(project, kind, member, sequence, event, now, wakes)
  local endpoints = call('HGETALL', K.endpoints .. project)
  for i = 1, #endpoints, 2 do
    local wanted = endpoints[i + 1]
    if wanted == '*' or string.find(wanted, ' ' .. kind .. ' ', 1, true) then
      local lane = 'endpoint/' .. project .. '/' .. endpoints[i]
      if call('ZCARD', K.due .. lane) >= POLICY.max_waiting then
        call('HINCRBY', K.dropped .. project, endpoints[i], 1)
      else
        call('HSET', K.parcels .. lane, member, sequence .. ' 0 ' .. event)
        call('ZADD', K.due .. lane, now, member)
        schedule(lane)
        if reserve(lane, now) then wakes[#wakes + 1] = lane end
      end
    end
  end
end

-- Store one fact in the history of its message and hand it to every endpoint that wants its kind ('': to none).
local function publish(project, message, kind, event, now, wakes)
  local sequence = call('HINCRBY', K.message .. message, 'seq', 1)
  call('HSET', K.message .. message, 'e' .. sequence, event)
  if kind ~= '' then tell(project, kind, message .. '/' .. sequence, sequence, event, now, wakes) end
end
