-- Suppress the address of a recipient who asked for no more, and tell of it. ARGV: project, stream, message, normal
-- form of the address, record, event, its id, the record that may be replaced ('' for none).
-- Returns 'unsubscribed' and the lanes to wake; or, with nothing done, 'known' and the record that stands there.

local project, message, address, record, event = ARGV[1], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local list, now, wakes = project .. ':' .. ARGV[2], now_ms(), {}
local before = suppress(list, address, record)
if before then
  if before ~= ARGV[8] then return { 'known', before } end
  call('HSET', K.suppressions .. list, address, record)
end
if call('HEXISTS', K.message .. message, 'm') == 1 then
  publish(project, message, 'message.unsubscribed', event, now, wakes)
else
  -- Its history is gone, and so are the numbers of its events: 0 stands for none.
  tell(project, 'message.unsubscribed', message .. '/' .. ARGV[7], 0, event, now, wakes)
end
return { 'unsubscribed', unpack(wakes) }
