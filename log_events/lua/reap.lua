-- Take the consumers of workers that are gone out of the group: idle and without a heartbeat for long, nothing pending.
-- What is pending for a consumer would be out of reach for ever without it, so that is looked at in the same breath.
-- KEYS: stream, workers.  ARGV: group, milliseconds after which a silent worker is gone.  Returns: how many left.
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if consumers.err then return 0 end
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local reaped = 0
for _, fields in ipairs(consumers) do
  local consumer = {}
  for i = 1, #fields, 2 do consumer[fields[i]] = fields[i + 1] end
  local worker = string.match(consumer.name, '^(.*)/%d+$')
  local said = worker and redis.call('HGET', KEYS[2], worker)
  local silent_ms = now_ms - tonumber(string.match(said or '', '^(%d+) ') or '0')
  if worker and consumer.pending == 0 and math.min(consumer.idle, silent_ms) > tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    reaped = reaped + 1
  end
end
return reaped
