-- Take a consumer out of the group, unless it still has entries pending: those would be out of reach for ever.
-- KEYS: stream.  ARGV: group, consumer.  Returns: 1 if it left.
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
if #pending > 0 then return 0 end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
