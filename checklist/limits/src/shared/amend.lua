-- Applies what a node has to say of its own: differences, and calls that it gave up. A batch is applied once, however often
-- it is sent.
--
-- KEYS: epoch, nodes, one an entry. ARGV: epoch, node, number of the batch, then five an entry: kind, place, amount, a, b.
-- Kinds as in reserve.lua, and o: a call that was given up, with the life of its mark in a; the entries after it take back what
-- it took, if it took it.
-- Gives 1, or 0 where the epoch is another one; and the time in ms.
local SLOTS = 16
local time = redis.call('TIME')
local us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(us / 1000)
local function whole(n) return string.format('%.0f', n) end

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return { 0, now } end
local batch = 's:' .. ARGV[2]
if tonumber(redis.call('HGET', KEYS[2], batch) or '0') >= tonumber(ARGV[3]) then return { 1, now } end

-- When the call was made that is taken back; none: it never came. Nothing: no call is taken back.
local given_up, at = false, nil
local amend = {}

function amend.o(key, _, _, life)
  at = redis.call('GET', key)
  given_up = true
  -- A call that comes later finds this, and takes nothing.
  redis.call('SET', key, '0', 'PX', whole(life))
  if at == '0' then at = nil end
end

local RING = string.rep('d', SLOTS + 2)

function amend.r(key, place, amount, length)
  local slot = given_up and math.floor(tonumber(at) / length) or tonumber(place)
  local text, current = redis.call('GET', key), math.floor(now / length)
  local ring = text and { struct.unpack(RING, text) } or { current }
  if ring[1] > current then current = ring[1] end
  local shift, back = current - ring[1], current - slot
  if back > SLOTS then return end
  local amended = { current }
  for i = 2, SLOTS + 2 do
    amended[i] = text and i + shift <= SLOTS + 2 and ring[i + shift] or 0
  end
  -- A node's clock may be a little ahead: what it says of the next slot belongs to this one.
  local i = SLOTS + 2 - math.max(back, 0)
  amended[i] = math.max(amended[i] + tonumber(amount), 0)
  redis.call('SET', key, struct.pack(RING, unpack(amended)), 'PX', whole((SLOTS + 2) * length))
end

function amend.p(key, _, amount, last)
  if last > 0 and now > last + 3600000 then return end
  if redis.call('INCRBY', key, amount) < 0 then redis.call('SET', key, '0') end
  if last > 0 then redis.call('PEXPIREAT', key, whole(last + 3600000)) end
end

function amend.g(key, _, amount, unit)
  local tat = math.max(tonumber(redis.call('GET', key) or '0'), tonumber(amount) > 0 and us or 0)
  tat = tat + tonumber(amount) * unit
  if tat <= us then
    redis.call('DEL', key)
  else
    redis.call('SET', key, whole(tat), 'PX', whole(math.ceil((tat - us) / 1000) + 1000))
  end
end

function amend.h(key, _, amount)
  if redis.call('HINCRBY', key, ARGV[2], amount) <= 0 then
    redis.call('HDEL', key, ARGV[2])
  end
  redis.call('PEXPIRE', key, 86400000)
end

for i = 3, #KEYS do
  local arg = 4 + (i - 3) * 5
  local kind = ARGV[arg]
  if kind == 'o' or not given_up or at then
    amend[kind](KEYS[i], ARGV[arg + 1], ARGV[arg + 2], tonumber(ARGV[arg + 3]), tonumber(ARGV[arg + 4]))
  end
end
redis.call('HSET', KEYS[2], batch, ARGV[3])
return { 1, now }
