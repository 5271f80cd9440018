-- Which stream this is, and the id before which every entry that there ever was is acknowledged.
-- KEYS: stream, generation.  Returns: generation or nil, milliseconds and sequence number of that id.
local generation = redis.call('GET', KEYS[2])
local stream = redis.pcall('XINFO', 'STREAM', KEYS[1])
if stream.err then return {generation, '0', '0'} end
local found = {}
for i = 1, #stream, 2 do found[stream[i]] = stream[i + 1] end
if found['first-entry'] then
  local ms, seq = string.match(found['first-entry'][1], '^(%d+)-(%d+)$')
  return {generation, ms, seq}
end
local ms, seq = string.match(found['last-generated-id'], '^(%d+)-(%d+)$')
return {generation, ms, string.format('%.0f', seq + 1)}
