-- Note what a worker or a producer says of itself, stamped by the server's clock; also on a full server.
-- KEYS: hash.  ARGV: name, JSON, milliseconds after which a silent one is forgotten.
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('HDEL', KEYS[1], ARGV[1]) -- a first write, after which a full server lets the script write
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %s', now_ms, ARGV[2]))
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local said_ms = tonumber(string.match(all[i + 1], '^(%d+) ') or '0')
  if now_ms - said_ms > tonumber(ARGV[3]) then redis.call('HDEL', KEYS[1], all[i]) end
end
return now_ms
