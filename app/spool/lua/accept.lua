-- Keep a whole message, or nothing: the message, its bytes, its places in the lanes, its first events and its
-- idempotency record. ARGV: project, message id, idempotency key ('' for none), fingerprint, seconds to remember it,
-- receipt, message, bytes ('' where each recipient has its own), end of its time (ms), when it is reported as late (ms,
-- '' for never), type of its first events ('' where no endpoint is told), seconds to keep a message that nobody is sent,
-- whether failures are reported by mail ('1'), names of the parts that it shares ('' for none), whether recipients of
-- the same bytes are claimed one by one ('1'), then for each recipient: lane ('' where it is known to be suppressed),
-- state, event, bytes of its own ('' where there is one copy for all), the normal form of its address ('' where no list
-- holds).
-- Returns 'accepted' and the lanes to wake; 'replayed' and the first receipt; 'conflict'; or, with nothing kept,
-- 'suppressed' and for each recipient why it is, or false: it has to be said of those that they are; or 'unshared': a
-- part is not there.

local project, id, key, fingerprint = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local memory = K.idempotency .. project .. ':' .. key
if key ~= '' then
  local known = call('HMGET', memory, 'fingerprint', 'receipt')
  if known[1] == fingerprint then
    -- A write, so that replicas are waited for which did not have the first in time.
    call('HSET', memory, 'fingerprint', fingerprint)
    return { 'replayed', known[2] }
  end
  if known[1] then return { 'conflict' } end
end

local FIRST, EACH = 16, 5 -- where the recipients begin, and how many values each has

-- Why each recipient is suppressed that was not known to be; nil where none is.
local function newly_suppressed()
  local found, list = {}, nil
  for i = FIRST, #ARGV, EACH do
    found[#found + 1] = ARGV[i + 4] ~= '' and ARGV[i + 4]
    if ARGV[i + 4] ~= '' then list = list_of(ARGV[i]) end
  end
  if list then look_up(list, found, 1) end
  for _, record in ipairs(found) do
    if record then return found end
  end
end

local suppressed = newly_suppressed()
if suppressed then return { 'suppressed', unpack(suppressed) } end
if not take_parts(project, id, ARGV[14], tonumber(ARGV[9])) then return { 'unshared' } end

local now, wakes, lanes, open = now_ms(), {}, {}, 0
local message, fields, places = K.message .. id, { 'm', ARGV[7] }, {}
if ARGV[8] ~= '' then fields = { 'm', ARGV[7], 'raw', ARGV[8] } end
for i = FIRST, #ARGV, EACH do
  local index, lane = (i - FIRST) / EACH, ARGV[i]
  if lane ~= '' then
    open = open + 1
    if not places[lane] then
      places[lane] = {}
      lanes[#lanes + 1] = lane
    end
    table.insert(places[lane], now)
    table.insert(places[lane], id .. '/' .. index)
  end
  fields[#fields + 1] = 'r' .. index
  fields[#fields + 1] = ARGV[i + 1]
  if ARGV[i + 3] ~= '' then call('HSET', message, 'raw' .. index, ARGV[i + 3]) end
  if ARGV[i + 4] ~= '' then
    fields[#fields + 1] = 't' .. index
    fields[#fields + 1] = ARGV[i + 4]
  end
end
fields[#fields + 1] = 'open'
fields[#fields + 1] = open
call('HSET', message, unpack(fields))
if ARGV[14] ~= '' then call('HSET', message, 'shared', ARGV[14]) end
if ARGV[15] == '1' then call('HSET', message, 'single', '') end
call('ZADD', K.expiries, ARGV[9], id)
if ARGV[10] ~= '' and open > 0 then watch(project, id, ARGV[10]) end
if key ~= '' then
  call('HSET', memory, 'fingerprint', fingerprint, 'receipt', ARGV[6])
  call('EXPIRE', memory, ARGV[5])
end
local notice
for i = FIRST, #ARGV, EACH do
  local is_suppressed = ARGV[i] == ''
  publish(project, id, is_suppressed and 'message.suppressed' or ARGV[11], ARGV[i + 2], now, wakes)
  if is_suppressed and ARGV[13] == '1' then
    notice = notice or id .. '/' .. call('HGET', message, 'seq')
    report(id, notice, (i - FIRST) / EACH, ARGV[i + 1])
  end
  if is_suppressed and ARGV[i + 3] ~= '' then call('HDEL', message, 'raw' .. (i - FIRST) / EACH) end
end
if notice then call_for_report(project, notice, now, wakes) end
for _, lane in ipairs(lanes) do
  call('ZADD', K.due .. lane, unpack(places[lane]))
  schedule(lane)
  if reserve(lane, now) then wakes[#wakes + 1] = lane end
end
if open == 0 then finish(project, id, ARGV[12]) end
return { 'accepted', unpack(wakes) }
