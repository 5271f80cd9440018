-- What the queue holds, as numbers only: XINFO would send whole entries over the wire.
-- KEYS: list, stream, events, bytes.  ARGV: group.
-- Returns: type of the list key, its length, entries, events, bytes, entries in flight, age of the oldest entry in ms (-1: none).
local function length(command, key)
  local answer = redis.pcall(command, key)
  return type(answer) == 'number' and answer or 0
end
local in_flight, age = 0, -1
local pending = redis.pcall('XPENDING', KEYS[2], ARGV[1])
if not pending.err then in_flight = pending[1] end
local first = redis.pcall('XINFO', 'STREAM', KEYS[2])
if not first.err then
  for i = 1, #first, 2 do
    if first[i] == 'first-entry' and first[i + 1] then
      local now = redis.call('TIME')
      age = now[1] * 1000 + math.floor(now[2] / 1000) - tonumber(string.match(first[i + 1][1], '^%d+'))
    end
  end
end
return {
  redis.call('TYPE', KEYS[1]).ok, length('LLEN', KEYS[1]), length('XLEN', KEYS[2]),
  tonumber(redis.call('GET', KEYS[3]) or '0'), tonumber(redis.call('GET', KEYS[4]) or '0'), in_flight, age
}
