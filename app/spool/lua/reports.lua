-- What every atomic step builds on: reports by mail on messages that failed or are late.
-- A failure is kept whole, since its message may be gone when it is told. Of lateness only the time is kept: the member
-- `<message>/late` stands in the lane from the start, and what is to be said is read from the message when it is due.

local function report_lane(project)
  return 'report/' .. project .. '/delivery'
end

-- The header of a message, or of the copy of one recipient, up to the empty line; nothing once those bytes are gone.
local function head_of(message, copy)
  local raw = call('HGET', message, copy or 'raw')
  local last = raw and string.find(raw, '\r\n\r\n', 1, true)
  return last and string.sub(raw, 1, last + 1) or ''
end

-- Look at the message again at that time (ms), to report it should it still be under way.
local function watch(project, id, at)
  local lane = report_lane(project)
  call('ZADD', K.due .. lane, at, id .. '/late')
  schedule(lane)
end

-- Keep where a recipient stands for a report that is called for in the same step. The report is named by its message
-- and the event that it tells of first: `<message>/<n>`.
local function report(id, member, index, state)
  local notice, message = K.report .. member, K.message .. id
  if call('EXISTS', notice) == 0 then
    call('HSET', notice, 'm', call('HGET', message, 'm'), 'head', head_of(message))
  end
  call('HSET', notice, 'r' .. index, state)
  local own = head_of(message, 'raw' .. index)
  if own ~= '' then call('HSET', notice, 'head' .. index, own) end
end

local function call_for_report(project, member, now, wakes)
  local lane = report_lane(project)
  call('ZADD', K.due .. lane, now, member)
  schedule(lane)
  if reserve(lane, now) then wakes[#wakes + 1] = lane end
end

-- What there is to report, as names and values: `m`, `head`, `r<i>`, and `head<i>` of those with a copy of their own;
-- nil where there is nothing.
local function load_report(member)
  local late = string.match(member, '^(.+)/late$')
  if not late then
    local notice = call('HGETALL', K.report .. member)
    return notice[1] and notice or nil
  end
  local message = K.message .. late
  local found, index = { 'm', call('HGET', message, 'm'), 'head', head_of(message) }, 0
  local has_own_copies = found[4] == ''
  if not found[2] then return nil end
  local state = call('HGET', message, 'r0')
  while state do
    found[#found + 1] = 'r' .. index
    found[#found + 1] = state
    if has_own_copies then
      found[#found + 1] = 'head' .. index
      found[#found + 1] = head_of(message, 'raw' .. index)
    end
    index = index + 1
    state = call('HGET', message, 'r' .. index)
  end
  return found
end
