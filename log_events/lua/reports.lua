-- What all workers or producers last said of themselves, and the server's clock in milliseconds.
-- KEYS: hash.  Returns: now in ms, then name, value, name, value ...
local now = redis.call('TIME')
local answer = {now[1] * 1000 + math.floor(now[2] / 1000)}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all do answer[#answer + 1] = all[i] end
return answer
