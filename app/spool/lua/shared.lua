-- What every atomic step builds on: parts that several messages of a project have, such as a file that goes to many.
-- Each is kept once, by the digest of its bytes, and names the messages that have it. Where it belongs in the bytes of
-- a message, its digest stands there between two NULs, which no composed mail holds.

local NUL = string.char(0)

local function part_of(project, name)
  return K.shared .. project .. ':' .. name
end

-- Note down that a message has these parts (names with a space between): they stay for longer than its time (ms).
-- Returns whether all are there; otherwise nothing was done.
local function take_parts(project, id, names, expires)
  for name in string.gmatch(names, '%S+') do
    if call('HEXISTS', part_of(project, name), 'octets') == 0 then return false end
  end
  for name in string.gmatch(names, '%S+') do
    call('HSET', part_of(project, name), id, '')
    call('PEXPIREAT', part_of(project, name), expires + POLICY.part_margin, 'GT')
  end
  return true
end

-- Let go of the parts of a message that needs its bytes no more. Who has a part last takes it along, a little later:
-- the next message of the same batch may be on its way.
local function drop_parts(project, id)
  local names = call('HGET', K.message .. id, 'shared')
  for name in string.gmatch(names or '', '%S+') do
    local part = part_of(project, name)
    if call('HDEL', part, id) == 1 and call('HLEN', part) == 1 then
      call('PEXPIRE', part, POLICY.part_linger)
    end
  end
  if names then call('HDEL', K.message .. id, 'shared') end
end

-- The whole bytes of a message. Nothing, where a part is gone: then the time of the message ended long ago.
local function with_parts(project, id, raw)
  local from, at = 1, raw and string.find(raw, NUL, 1, true)
  if not at or call('HEXISTS', K.message .. id, 'shared') == 0 then return raw end
  local pieces = {}
  while at do
    local stop = string.find(raw, NUL, at + 1, true)
    local part = call('HGET', part_of(project, string.sub(raw, at + 1, stop - 1)), 'octets')
    if not part then return '' end
    pieces[#pieces + 1] = string.sub(raw, from, at - 1)
    pieces[#pieces + 1] = part
    from = stop + 1
    at = string.find(raw, NUL, from, true)
  end
  pieces[#pieces + 1] = string.sub(raw, from)
  return table.concat(pieces)
end
