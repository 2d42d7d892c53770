/**
 * What happens in Redis in one step. A lease is one hash, so that each script touches one slot of a cluster:
 *
 * ```
 * node, take    who holds it: a node, and which of its takes; absent while the next one is being waited for
 * asked         somebody wants it
 * wait:NODE     a node that waits, with its place in the line; `line` counts the places
 * next          after a release: the node whose turn it is, for as long as the key lives without a holder
 * ```
 *
 * The key always carries an expiry: the lease's, or the short one within which the next node must come. With it goes the
 * line, and who still waits looks again by itself.
 */

/** Given: node, take, ttl, how ('wait', 'ask', 'give up'), the node channels' prefix, name. */
const take = `
local node, take = ARGV[1], ARGV[2]
local holder = redis.call('HGET', KEYS[1], 'node')
local free = not holder or holder == node
if not holder then
  local turn = redis.call('HGET', KEYS[1], 'next')
  free = not turn or turn == node
end
if free then
  redis.call('HSET', KEYS[1], 'node', node, 'take', take)
  redis.call('HDEL', KEYS[1], 'asked', 'next', 'wait:' .. node)
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return 0
end
if ARGV[4] ~= 'give up' and redis.call('HEXISTS', KEYS[1], 'wait:' .. node) == 0 then
  redis.call('HSET', KEYS[1], 'wait:' .. node, redis.call('HINCRBY', KEYS[1], 'line', 1))
end
if ARGV[4] == 'ask' and holder then
  redis.call('HSET', KEYS[1], 'asked', 1)
  redis.call('PUBLISH', ARGV[5] .. holder, 'ask\\n' .. redis.call('HGET', KEYS[1], 'take') .. '\\n' .. ARGV[6])
end
return math.max(1, redis.call('PTTL', KEYS[1]))`

/** Given: node, take, ttl. What expired or was flushed is made again, unless another has it or comes next. */
const renew = `
local holder = redis.call('HGET', KEYS[1], 'node')
if holder and holder ~= ARGV[1] then return 0 end
if not holder and redis.call('HEXISTS', KEYS[1], 'next') == 1 then return 0 end
redis.call('HSET', KEYS[1], 'node', ARGV[1], 'take', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1 + redis.call('HEXISTS', KEYS[1], 'asked')`

/** Given: node, take, how long the next may take to come, the node channels' prefix, name. Leaves the line, too. */
const leave = `
redis.call('HDEL', KEYS[1], 'wait:' .. ARGV[1])
local holder = redis.call('HGET', KEYS[1], 'node')
if holder then
  if holder ~= ARGV[1] or redis.call('HGET', KEYS[1], 'take') ~= ARGV[2] then return 0 end
elseif redis.call('HGET', KEYS[1], 'next') ~= ARGV[1] then
  return 0
end
local fields = redis.call('HGETALL', KEYS[1])
local first, place
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 5) == 'wait:' and (not place or tonumber(fields[i + 1]) < place) then
    first, place = string.sub(fields[i], 6), tonumber(fields[i + 1])
  end
end
if not first then return redis.call('DEL', KEYS[1]) end
redis.call('HDEL', KEYS[1], 'node', 'take', 'asked', 'wait:' .. first)
redis.call('HSET', KEYS[1], 'next', first)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PUBLISH', ARGV[4] .. first, 'turn\\n\\n' .. ARGV[5])
return 1`

/** Given: by, window. */
const count = `
local sum = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return sum`

export const scripts = {
  berthTake: { lua: take, numberOfKeys: 1 },
  berthRenew: { lua: renew, numberOfKeys: 1 },
  berthLeave: { lua: leave, numberOfKeys: 1 },
  berthCount: { lua: count, numberOfKeys: 1 },
}
