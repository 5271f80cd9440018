-- Which of some entries are pending no more, for nobody: somebody acknowledged them, or took them away.
-- KEYS: stream.  ARGV: group, then the ids of the entries.  Returns: the ids of those that are gone.
local gone = {}
for i = 2, #ARGV do
  if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1) == 0 then gone[#gone + 1] = ARGV[i] end
end
return gone
