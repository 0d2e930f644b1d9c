-- Let one worker at a time do the clock's duties, about once a second, whatever the clocks of the machines say.
-- Returns 1 for whoever shall do them now, else 0.

local now, last = now_ms(), tonumber(call('HGET', K.clock, 'last') or 0)
if last <= now and now < last + POLICY.tick then return 0 end
-- Redis was away, its own clock has jumped, or no worker was there: leases may have ended that nobody could renew.
-- Those who live get time to do so, before anybody takes over what they hold.
if now < last or now > last + POLICY.lease * 0.8 then
  call('HSET', K.clock, 'patience', now + POLICY.lease / 2)
end
call('HSET', K.clock, 'last', now)
return 1
