-- Find the source that some recipients of a claim leave from, and count them against its ceiling. ARGV: lane, site, the
-- source they were given before ('' for none; it counts them no more), how many they are, then for each source in the
-- order of preference: its name, the first day of its warm-up (days since 1970; '' for none), and the ceilings of that
-- day and those after it ('50 100 200'). Days are those of this clock, in UTC.
-- Returns the source and how many recipients it takes; else '', how long to wait for one (ms), and whether all of them
-- rest ('1'): then nothing of the lane can go, and the lane waits.

local DAY = 86400000
local lane, site, kept, wanted, now = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), now_ms()
local today = math.floor(now / DAY)
local sent, tomorrow = K.sent .. site .. ':' .. today, (today + 1) * DAY

-- Today's ceiling of a source: nothing before its first day, nil after the last.
local function ceiling(first, ceilings)
  if first == '' then return nil end
  local day = today - tonumber(first)
  if day < 0 then return 0 end
  for each in string.gmatch(ceilings, '%d+') do
    if day == 0 then return tonumber(each) end
    day = day - 1
  end
end

local all_rest, first_rest, first_chance = '1', math.huge, math.huge
for i = 5, #ARGV, 3 do
  local source = ARGV[i]
  local rests_until = tonumber(call('ZSCORE', K.rests .. site, source) or 0)
  local most = source ~= kept and ceiling(ARGV[i + 1], ARGV[i + 2])
  local room = most and most - tonumber(call('HGET', sent, source) or 0) or wanted
  if rests_until <= now and room > 0 then
    local taken = math.min(room, wanted)
    if most then
      call('HINCRBY', sent, source, taken)
      call('PEXPIREAT', sent, tomorrow + DAY)
    end
    return { source, taken }
  end
  if rests_until > now then first_rest = math.min(first_rest, rests_until) else all_rest = '' end
  first_chance = math.min(first_chance, math.max(rests_until, room > 0 and 0 or tomorrow))
end
if all_rest == '' then return { '', first_chance - now, '' } end
leave_line(site, lane, now)
call('HSET', K.lane .. lane, 'not_before', first_rest)
schedule(lane)
return { '', first_rest - now, '1' }
