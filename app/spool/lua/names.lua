-- What every atomic step builds on, first part: time and names.
-- `K` (key beginnings) and `POLICY` (limits) stand before this text.
-- Lanes of mail are called `mail/<project>/<stream>/<domain>`, those of endpoints `endpoint/<project>/<endpoint>`,
-- those of reports `report/<project>/delivery` and `report/~/tls`.

local call = redis.call

local function now_ms()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function kind_of(lane)
  return string.match(lane, '^(%a+)/')
end

local function project_of(lane)
  return string.match(lane, '^%a+/([^/]+)/')
end

local function message_of(member)
  return string.match(member, '^[^/]+')
end

local function index_of(member)
  return string.match(member, '[^/]+$')
end
