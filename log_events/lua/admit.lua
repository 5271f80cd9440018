-- Admit one frame into the stream, or refuse it, in one round trip; count what is accepted in the same breath.
-- KEYS: stream, events, bytes, generation, accepted, waiting.
-- ARGV: most bytes the stream may hold, wire version, number of events, how many of them are LLM logs, frame,
--       a fresh generation; and, where some are of neither kind, 'o' and how many.
-- Lua takes nothing back: what can fail, a key of another type, fails before the first write.
redis.call('GET', KEYS[2])
redis.call('HLEN', KEYS[5])
redis.call('HLEN', KEYS[6])
local held = tonumber(redis.call('GET', KEYS[3]) or '0')
if held + #ARGV[5] > tonumber(ARGV[1]) then
  return redis.error_reply('QFULL the log queue holds ' .. held .. ' bytes')
end
local generation = redis.call('GET', KEYS[4])
if not generation then
  redis.call('SET', KEYS[4], ARGV[6])
  generation = ARGV[6]
end
local id = redis.call('XADD', KEYS[1], '*', 'v', ARGV[2], 'n', ARGV[3], 'l', ARGV[4], 'g', generation, 'z', ARGV[5],
  unpack(ARGV, 7))
redis.call('INCRBY', KEYS[2], ARGV[3])
redis.call('INCRBY', KEYS[3], #ARGV[5])

local hour = math.floor(tonumber(string.match(id, '^%d+')) / 3600000)
local function count(kind, events)
  if events > 0 then
    redis.call('HINCRBY', KEYS[5], hour .. ':' .. kind, events)
    redis.call('HINCRBY', KEYS[6], hour .. ':' .. kind, events)
  end
end
local others = tonumber(ARGV[8] or '0')
count('system_log', ARGV[3] - ARGV[4] - others)
count('llm_log', ARGV[4] + 0)
count('other', others)
return id
