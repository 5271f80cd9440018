-- Create the stream and its consumer group at its very beginning, unless they are there; also on a full server.
-- KEYS: stream, scratch.  ARGV: group.  Returns: 1 if it was created, 0 if it was there.
redis.call('DEL', KEYS[2]) -- a first write, after which a full server lets the script create the group
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if type(made) == 'table' and made.err then
  if string.find(made.err, 'BUSYGROUP', 1, true) then return 0 end
  return redis.error_reply(made.err)
end
return 1
