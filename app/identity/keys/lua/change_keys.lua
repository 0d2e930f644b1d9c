-- Change the DKIM keys of a domain. ARGV: `<project>:<domain>`, the version that the change was worked out from, since when
-- its keys grow old (ms; `inf` while there is nothing to rotate, empty where no key is left), whether a key waits for its
-- record, how many fields go, those, then each field that comes with its value. Returns the new version, or 0 where others
-- have changed them meanwhile.

local name, key = ARGV[1], K.dkim .. ARGV[1]
if (redis.call('HGET', key, 'version') or '0') ~= ARGV[2] then return 0 end
local version = redis.call('HINCRBY', K.keyring, 'version', 1)
if ARGV[3] == '' then
  redis.call('DEL', key)
  redis.call('ZREM', K.dkim_domains, name)
else
  local gone = tonumber(ARGV[5])
  for at = 6, 5 + gone do redis.call('HDEL', key, ARGV[at]) end
  for at = 6 + gone, #ARGV, 2 do redis.call('HSET', key, ARGV[at], ARGV[at + 1]) end
  redis.call('HSET', key, 'version', version)
  redis.call('ZADD', K.dkim_domains, ARGV[3], name)
end
if ARGV[4] == '1' then
  redis.call('ZADD', K.dkim_looks, 'NX', 0, name)
else
  redis.call('ZREM', K.dkim_looks, name)
end
return version
