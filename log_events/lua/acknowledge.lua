-- Acknowledge and delete entries whose events are committed.  A plain script, because a full server refuses MULTI.
-- KEYS: stream, events, bytes.  ARGV: group, then for each entry: id, number of events, bytes.
-- Returns: how many entries were there to be deleted.
local deleted, events, bytes = 0, 0, 0
for i = 2, #ARGV, 3 do
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
  if redis.call('XDEL', KEYS[1], ARGV[i]) == 1 then
    deleted = deleted + 1
    events = events + tonumber(ARGV[i + 1])
    bytes = bytes + tonumber(ARGV[i + 2])
  end
end
local function lower(key, amount)
  redis.call('SET', key, math.max(0, tonumber(redis.call('GET', key) or '0') - amount))
end
lower(KEYS[2], events)
lower(KEYS[3], bytes)
return deleted
