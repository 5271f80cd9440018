-- Carry events from the list into the stream, oldest first, many in one entry: none is ever in neither.
-- KEYS: list, stream, events, bytes, generation, accepted, waiting.
-- ARGV: most events, most bytes an entry, most bytes the stream may hold, a fresh generation.
-- Returns: events carried, events left in the list.
local most = math.min(tonumber(ARGV[1]), 1000) -- unpack has room for some 8,000 values, two an event
-- Lua takes nothing back: what can fail, a key of another type, fails before the first write.
redis.call('GET', KEYS[3])
redis.call('GET', KEYS[4])
redis.call('GET', KEYS[5])
redis.call('HLEN', KEYS[6])
redis.call('HLEN', KEYS[7])
local stream = redis.call('TYPE', KEYS[2]).ok
-- An empty stream holds nothing, whatever was counted before somebody emptied it past the scripts.
if (stream == 'none' or stream == 'stream') and redis.call('XLEN', KEYS[2]) == 0 then
  redis.call('DEL', KEYS[3], KEYS[4], KEYS[7])
end
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then return {0, 0} end
if kind ~= 'list' then return redis.error_reply('NOTLIST ' .. KEYS[1] .. ' is a ' .. kind) end
if stream ~= 'none' and stream ~= 'stream' then return redis.error_reply('NOTSTREAM ' .. KEYS[2] .. ' is a ' .. stream) end
if tonumber(redis.call('GET', KEYS[4]) or '0') >= tonumber(ARGV[3]) then return {0, redis.call('LLEN', KEYS[1])} end

-- The first thing that looks like a type; the worker looks in the same way, so that both count the same.
local function kind_of(value)
  local kind_name = string.match(value, '"type"[ \t\r\n]*:[ \t\r\n]*"([a-z_]+)"')
  return (kind_name == 'system_log' or kind_name == 'llm_log') and kind_name or 'other'
end

local taken, size, kinds = {}, 0, {system_log = 0, llm_log = 0, other = 0}
while #taken < most and size < tonumber(ARGV[2]) do
  local value = redis.call('RPOP', KEYS[1])
  if not value then break end
  taken[#taken + 1] = value
  size = size + #value
  kinds[kind_of(value)] = kinds[kind_of(value)] + 1
end
-- Only now, after a first write, does a full server let the script write more.
redis.call('SET', KEYS[5], ARGV[4], 'NX')
local fields = {
  'src', 'list', 'n', #taken, 'l', kinds.llm_log, 'o', kinds.other, 'g', redis.call('GET', KEYS[5])
}
for index, value in ipairs(taken) do
  fields[#fields + 1] = index - 1
  fields[#fields + 1] = value
end
local added = redis.pcall('XADD', KEYS[2], '*', unpack(fields))
if type(added) == 'table' and added.err then
  for index = #taken, 1, -1 do redis.call('RPUSH', KEYS[1], taken[index]) end
  return redis.error_reply(added.err)
end
redis.call('INCRBY', KEYS[3], #taken)
redis.call('INCRBY', KEYS[4], size)

local hour = math.floor(tonumber(string.match(added, '^%d+')) / 3600000)
for kind_name, events in pairs(kinds) do
  if events > 0 then
    redis.call('HINCRBY', KEYS[6], hour .. ':' .. kind_name, events)
    redis.call('HINCRBY', KEYS[7], hour .. ':' .. kind_name, events)
  end
end
return {#taken, redis.call('LLEN', KEYS[1])}
