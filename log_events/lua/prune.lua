-- Forget what was accepted in hours long ago, where nothing of it waits and it is still what the caller saw.
-- Since when hours may be missing for this reason is noted in the same breath.
-- KEYS: accepted, waiting, pruned.  ARGV: the hour before which all of them lie, then for each: field, events.
-- Returns: how many fields were forgotten.
local forgotten = 0
for i = 2, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] and redis.call('HEXISTS', KEYS[2], ARGV[i]) == 0 then
    redis.call('HDEL', KEYS[1], ARGV[i])
    forgotten = forgotten + 1
  end
end
if forgotten > 0 and tonumber(redis.call('GET', KEYS[3]) or '0') < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[3], ARGV[1])
end
return forgotten
