-- Ask for a place at a site, for a drain that has a claim. ARGV: lane, drain, site, the window it starts with, its
-- widest, how long it rests when it is dead (ms), the time between two mails (ms, '' where there is no rate).
-- Returns 0 or how long the lane has to wait (ms), and the lanes to wake; 'fenced' for a drain that is no more.

local lane, drain, site, now, wakes = ARGV[1], ARGV[2], ARGV[3], now_ms(), {}
if call('EXISTS', K.drain .. drain) == 0 then return { 'fenced' } end
if call('HGET', K.drain .. drain, 'site') == site then return { 0, wakes } end
call('HSET', K.site .. site, 'first', ARGV[4], 'most', ARGV[5], 'rest', ARGV[6], 'interval', ARGV[7])
call('EXPIRE', K.site .. site, POLICY.site_memory_s)
local wait = enter(site, lane, drain, wakes, now)
if wait == 0 and ARGV[7] ~= '' then call('HSET', K.drain .. drain, 'rated', 1) end
schedule(lane)
return { wait, wakes }
