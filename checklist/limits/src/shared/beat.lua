-- A node's heartbeat: it lives, and hears who else does.
--
-- KEYS: epoch, nodes. ARGV: node, a name for a new epoch, the epoch that it has told all of its own, or nothing.
-- Gives texts: the epoch, the time in ms, then three a node: its name, when it was heard, 1 if it has told all of its own in this
-- epoch.
local LEASE, GAP, FORGET = 5000, 2000, 86400000
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function whole(n) return string.format('%.0f', n) end
local node = ARGV[1]

local epoch = redis.call('GET', KEYS[1])
if not epoch then
  -- The server has forgotten everything, or never knew it.
  epoch = ARGV[2]
  redis.call('SET', KEYS[1], epoch)
  redis.call('DEL', KEYS[2])
end
local last = redis.call('HGET', KEYS[2], 'last')
if last and now - tonumber(last) > GAP then
  redis.call('HSET', KEYS[2], 'calm', whole(now + LEASE))
end
redis.call('HSET', KEYS[2], 'last', whole(now), 'n:' .. node, whole(now))
if ARGV[3] == epoch then redis.call('HSET', KEYS[2], 'p:' .. node, '1') end

local told = { epoch, whole(now) }
local all, fields = redis.call('HGETALL', KEYS[2]), {}
for i = 1, #all, 2 do fields[all[i]] = all[i + 1] end
for field, value in pairs(fields) do
  local name = string.match(field, '^n:(.+)$')
  if name then
    if tonumber(value) + FORGET < now then
      redis.call('HDEL', KEYS[2], field, 'p:' .. name, 's:' .. name)
    else
      told[#told + 1] = name
      told[#told + 1] = value
      told[#told + 1] = fields['p:' .. name] or '0'
    end
  end
end
return told
