-- Acknowledge and delete entries whose events are committed.  A plain script, because a full server refuses MULTI.
-- KEYS: stream, events, bytes, waiting.
-- ARGV: group, then for each entry: id, bytes, and its numbers of system logs, LLM logs and others.
-- Returns: how many entries were there to be deleted.
local KINDS = {'system_log', 'llm_log', 'other'}
local deleted, events, bytes = 0, 0, 0
for i = 2, #ARGV, 5 do
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
  if redis.call('XDEL', KEYS[1], ARGV[i]) == 1 then
    local hour = math.floor(tonumber(string.match(ARGV[i], '^%d+')) / 3600000)
    deleted = deleted + 1
    bytes = bytes + tonumber(ARGV[i + 1])
    for k, kind in ipairs(KINDS) do
      local amount = tonumber(ARGV[i + 1 + k])
      events = events + amount
      if amount > 0 and redis.call('HINCRBY', KEYS[4], hour .. ':' .. kind, -amount) == 0 then
        redis.call('HDEL', KEYS[4], hour .. ':' .. kind)
      end
    end
  end
end
local function lower(key, amount)
  redis.call('SET', key, math.max(0, tonumber(redis.call('GET', key) or '0') - amount))
end
lower(KEYS[2], events)
lower(KEYS[3], bytes)
return deleted
