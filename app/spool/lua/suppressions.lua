-- What every atomic step builds on: the addresses that a project sends no mail of a stream to.
-- A list is called `<project>:<stream>`; addresses are in their normal form.

local function list_of(lane)
  local project, stream = string.match(lane, '^mail/([^/]+)/([^/]+)/')
  return project .. ':' .. stream
end

-- Put in the place of each address, from `first` on, why and since when it is suppressed, or false. What is false
-- before is never suppressed.
local function look_up(list, addresses, first)
  local asked = {}
  for i = first, #addresses do
    if addresses[i] then asked[#asked + 1] = addresses[i] end
  end
  if not asked[1] then return end
  local found, place = call('HMGET', K.suppressions .. list, unpack(asked)), 0
  for i = first, #addresses do
    if addresses[i] then
      place = place + 1
      addresses[i] = found[place]
    end
  end
end

-- Suppress an address from now on, unless it is suppressed already: what stands first stays.
-- Returns the record that stood there before, or false.
local function suppress(list, address, record)
  if call('HSETNX', K.suppressions .. list, address, record) == 0 then
    return call('HGET', K.suppressions .. list, address)
  end
  call('ZADD', K.suppressed .. list, 0, address)
  return false
end
