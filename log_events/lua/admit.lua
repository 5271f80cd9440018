-- Admit one frame into the stream, or refuse it, in one round trip.
-- KEYS: stream, events, bytes.  ARGV: most bytes the stream may hold, wire version, number of events, frame.
-- Lua takes nothing back: what can fail, a key of another type, fails before the first write.
redis.call('GET', KEYS[2])
local held = tonumber(redis.call('GET', KEYS[3]) or '0')
if held + #ARGV[4] > tonumber(ARGV[1]) then
  return redis.error_reply('QFULL the log queue holds ' .. held .. ' bytes')
end
local id = redis.call('XADD', KEYS[1], '*', 'v', ARGV[2], 'n', ARGV[3], 'z', ARGV[4])
redis.call('INCRBY', KEYS[2], ARGV[3])
redis.call('INCRBY', KEYS[3], #ARGV[4])
return id
