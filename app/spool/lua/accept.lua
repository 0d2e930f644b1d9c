-- Keep a whole message, or nothing: the message, its bytes, its places in the lanes, its first events and its
-- idempotency record. ARGV: project, message id, idempotency key ('' for none), fingerprint, seconds to remember it,
-- receipt, message, bytes ('' where each recipient has its own), end of its time (ms), when it is reported as late (ms,
-- '' for never), type of its first events ('' where no endpoint is told), then for each recipient: lane, state, event,
-- bytes of its own ('' where there is one copy for all).
-- Returns 'accepted' and the lanes to wake; 'replayed' and the first receipt; or 'conflict'.

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

local FIRST, EACH = 12, 4 -- where the recipients begin, and how many values each has
local now, wakes, lanes = now_ms(), {}, {}
local message, fields, places = K.message .. id, { 'm', ARGV[7] }, {}
if ARGV[8] ~= '' then fields = { 'm', ARGV[7], 'raw', ARGV[8] } end
for i = FIRST, #ARGV, EACH do
  local index = (i - FIRST) / EACH
  local lane = ARGV[i]
  if not places[lane] then
    places[lane] = {}
    lanes[#lanes + 1] = lane
  end
  table.insert(places[lane], now)
  table.insert(places[lane], id .. '/' .. index)
  fields[#fields + 1] = 'r' .. index
  fields[#fields + 1] = ARGV[i + 1]
  if ARGV[i + 3] ~= '' then call('HSET', message, 'raw' .. index, ARGV[i + 3]) end
end
fields[#fields + 1] = 'open'
fields[#fields + 1] = (#ARGV - FIRST + 1) / EACH
call('HSET', message, unpack(fields))
call('ZADD', K.expiries, ARGV[9], id)
if ARGV[10] ~= '' then watch(project, id, ARGV[10]) end
if key ~= '' then
  call('HSET', memory, 'fingerprint', fingerprint, 'receipt', ARGV[6])
  call('EXPIRE', memory, ARGV[5])
end
for i = FIRST, #ARGV, EACH do publish(project, id, ARGV[11], ARGV[i + 2], now, wakes) end
for _, lane in ipairs(lanes) do
  call('ZADD', K.due .. lane, unpack(places[lane]))
  schedule(lane)
  if reserve(lane, now) then wakes[#wakes + 1] = lane end
end
return { 'accepted', unpack(wakes) }
