-- Write down that a drain is about to send the final dot for these members of its claim: from here on, the loss of the
-- worker means that the receiver may have them. ARGV: drain, turn, members with a space between.
-- Returns whether the claim is still this drain's. May be repeated, with more members.

local drain, turn = ARGV[1], tonumber(ARGV[2])
if standing(drain, turn) ~= 'held' then return 0 end
call('HSET', K.drain .. drain, 'doubt', turn .. ' ' .. ARGV[3])
return 1
