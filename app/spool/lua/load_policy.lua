-- Return the MTA-STS policy that is kept for a domain, and note that it is used. ARGV: domain.

local key = K.sts .. ARGV[1]
local policy = call('HGET', key, 'policy')
if policy then call('HSET', key, 'used', now_ms()) end
return policy
