-- A node's heartbeat: it lives, and hears who else does.
--
-- KEYS: epoch, nodes. ARGV: node, a name for a new epoch, the epoch that it has told all of its own, or nothing.
-- Fields of nodes: n: when a node was heard, p: whether it has told all, s: its last batch; last: when any was heard; calm: until
-- when nobody is gone.
-- Gives texts: the epoch, the time in ms, then three a node: its name, when it was heard (now, while nobody is gone since the
-- server stood still), 1 if it has told all of its own in this epoch.
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
local all, fields, names = redis.call('HGETALL', KEYS[2]), {}, {}
for i = 1, #all, 2 do
  fields[all[i]] = all[i + 1]
  names[#names + 1] = string.match(all[i], '^n:(.+)$')
end
local last = tonumber(fields.last or now)
if now - last > GAP then
  -- The server stood still, or nobody reached it: who lived then lives, and may have used something meanwhile.
  fields.calm = whole(now + LEASE)
  redis.call('HSET', KEYS[2], 'calm', fields.calm)
  for _, name in ipairs(names) do
    fields['p:' .. name] = nil
    redis.call('HDEL', KEYS[2], 'p:' .. name)
    if tonumber(fields['n:' .. name]) + LEASE < last then
      fields['n:' .. name] = nil
      redis.call('HDEL', KEYS[2], 'n:' .. name)
    end
  end
end
if not fields['n:' .. node] then names[#names + 1] = node end
fields['n:' .. node] = whole(now)
fields['p:' .. node] = ARGV[3] == epoch and '1' or '0'
redis.call('HSET', KEYS[2], 'last', whole(now), 'n:' .. node, whole(now), 'p:' .. node, fields['p:' .. node])

local told = { epoch, whole(now) }
local calm = tonumber(fields.calm or '0') > now
for _, name in ipairs(names) do
  local field, value = 'n:' .. name, fields['n:' .. name]
  if value then
    if tonumber(value) + FORGET < now then
      redis.call('HDEL', KEYS[2], field, 'p:' .. name, 's:' .. name)
    else
      told[#told + 1] = name
      told[#told + 1] = calm and whole(now) or value
      told[#told + 1] = fields['p:' .. name] or '0'
    end
  end
end
return told
