-- Lets a request in under all of its limits, or under none. Atomic, as every script is.
--
-- KEYS: epoch, nodes, mark of this call, one counter an entry.
-- ARGV: epoch, node, life of the mark in ms, then seven an entry: kind, limit, amount, place, a, b, shadow.
-- Kinds: r slots of a (ms); p one number until a (ms, 0: for ever); g a pace of a (us) a unit, at most b at once;
--        h in flight.
-- Gives: 1 let in, 2 refused, 0 another epoch, 3 given up before it came; the time in ms; then five an entry: 0 fine,
-- 1 over, 2 over in the shadow; used; ms until there is room, until some comes free, until all is (-1: none).
local SLOTS, LEASE, GAP = 16, 5000, 2000
local time = redis.call('TIME')
local us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(us / 1000)
local function whole(n) return string.format('%.0f', n) end

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return { 0, now } end
if not redis.call('SET', KEYS[3], whole(now), 'NX', 'PX', ARGV[3]) then return { 3, now } end

local check, take = {}, {}

-- A counter with slots is one text of 18 numbers: the number of its last slot, and what was used in 17, oldest first. All of them
-- in one piece take a third of the time that fields of a hash take.
local RING = string.rep('d', SLOTS + 2)

function check.r(key, one)
  local text = redis.call('GET', key)
  local slot, ring = math.floor(now / one.a), text and { struct.unpack(RING, text) }
  -- A clock that steps back stays in the last slot.
  if ring and ring[1] > slot then slot = ring[1] end
  local shift = ring and slot - ring[1] or SLOTS + 1
  local sum, first, last = 0, nil, nil
  for i = 2 + shift, SLOTS + 2 do
    if ring[i] > 0 then
      sum, first, last = sum + ring[i], first or i, i
    end
  end
  local function over(i) return (slot - shift + i - 1) * one.a - now end
  one.slot, one.ring, one.shift, one.used = slot, ring, shift, sum
  if first then one.first, one.full = over(first), over(last) end
  one.own = over(SLOTS + 2 + shift)
  local more = sum + one.amount - one.limit
  if more <= 0 then return true end
  if first and one.amount <= one.limit then
    for i = first, last do
      more = more - ring[i]
      if more <= 0 then
        one.wait = over(i)
        break
      end
    end
  end
  return false
end

function take.r(key, one)
  local ring, shift = { one.slot }, one.shift
  for i = 2, SLOTS + 2 do
    ring[i] = i + shift <= SLOTS + 2 and one.ring[i + shift] or 0
  end
  ring[SLOTS + 2] = ring[SLOTS + 2] + one.amount
  redis.call('SET', key, struct.pack(RING, unpack(ring)), 'PX', whole((SLOTS + 2) * one.a))
  one.used, one.first, one.full = one.used + one.amount, one.first or one.own, one.own
end

function check.p(key, one)
  one.used = tonumber(redis.call('GET', key) or '0')
  local left = one.a > 0 and math.max(one.a - now, 0) or nil
  if one.used > 0 then one.first, one.full = left, left end
  one.own = left
  if one.used + one.amount <= one.limit then return true end
  if one.amount <= one.limit then one.wait = left end
  return false
end

function take.p(key, one)
  one.used = one.used + one.amount
  if redis.call('INCRBY', key, one.text) == one.amount and one.a > 0 then
    redis.call('PEXPIREAT', key, whole(one.a + 3600000))
  end
  one.first, one.full = one.own, one.own
end

local function paced(one)
  local ahead = math.max(one.tat - us, 0)
  local taken = math.ceil(ahead / one.a)
  one.used = taken + math.max(one.limit - one.b, 0)
  if taken > 0 then
    one.first = math.ceil((ahead - (taken - 1) * one.a) / 1000)
    one.full = math.ceil(ahead / 1000)
  end
end

function check.g(key, one)
  one.tat = tonumber(redis.call('GET', key) or '0')
  paced(one)
  local after = math.max(one.tat, us) + one.amount * one.a
  if one.amount > one.b then return false end
  local wait = after - us - one.b * one.a
  if wait <= 0 then return true end
  one.wait = math.ceil(wait / 1000)
  return false
end

function take.g(key, one)
  one.tat = math.max(one.tat, us) + one.amount * one.a
  redis.call('SET', key, whole(one.tat), 'PX', whole(math.ceil((one.tat - us) / 1000) + 1000))
  paced(one)
end

-- Places of nodes that are gone do not count: their lease is the node's heartbeat. While nobody's heart was heard, since
-- the server stood still, nobody is gone.
local function lives(node)
  local told = redis.call('HMGET', KEYS[2], 'n:' .. node, 'last', 'calm')
  if not told[1] then return false, true end
  local seen, last, calm = tonumber(told[1]), tonumber(told[2] or '0'), tonumber(told[3] or '0')
  return seen + LEASE >= now or now - last > GAP or now < calm, false
end

function check.h(key, one)
  local all = redis.call('HGETALL', key)
  one.used = 0
  for i = 1, #all, 2 do
    local there, unknown = true, false
    if all[i] ~= ARGV[2] then there, unknown = lives(all[i]) end
    if there then one.used = one.used + math.max(tonumber(all[i + 1]), 0) end
    if unknown then redis.call('HDEL', key, all[i]) end
  end
  return one.used + one.amount <= one.limit
end

function take.h(key, one)
  redis.call('HINCRBY', key, ARGV[2], one.text)
  redis.call('PEXPIRE', key, 86400000)
  one.used = one.used + one.amount
end

local entries, refused = {}, false
for i = 4, #KEYS do
  local at = 4 + (i - 4) * 7
  local one = {
    kind = ARGV[at], limit = tonumber(ARGV[at + 1]), amount = tonumber(ARGV[at + 2]), text = ARGV[at + 2],
    a = tonumber(ARGV[at + 4]), b = tonumber(ARGV[at + 5]), verdict = 0,
  }
  if not check[one.kind](KEYS[i], one) then
    one.verdict = ARGV[at + 6] == '1' and 2 or 1
    refused = refused or one.verdict == 1
  end
  entries[#entries + 1] = one
end
if refused then
  redis.call('DEL', KEYS[3])
else
  for i, one in ipairs(entries) do
    -- Who asks for nothing only looks.
    if one.verdict == 0 and one.amount > 0 then take[one.kind](KEYS[i + 3], one) end
  end
end
local told = { refused and 2 or 1, now }
for _, one in ipairs(entries) do
  told[#told + 1] = one.verdict
  told[#told + 1] = one.used
  told[#told + 1] = one.wait or -1
  told[#told + 1] = one.first or -1
  told[#told + 1] = one.full or -1
end
return told
