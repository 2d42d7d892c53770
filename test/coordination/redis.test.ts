import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { LockBusy } from '../../coordination/locks.ts'
import type { RedisSettings } from '../../coordination/redis/client.ts'
import { openRedisCoordination } from '../../coordination/redis/open.ts'
import { describeCoordination } from '../contracts/coordination-contract.ts'
import { aclPassword, type RedisServer, redisSettings, startGuardedRedis, startRedis } from '../support/redis.ts'
import { needs } from '../support/tools.ts'
import { freshPrefix, openNode, openNodes } from './redis-nodes.ts'

describe('through one Redis server', needs('redis-server', 'redis-cli'), () => {
  let server: RedisServer
  before(async () => {
    server = await startRedis()
  })
  after(() => server.stop())

  describeCoordination('Redis with protocol 2', () => openNodes({ ...server.settings, protocol: 2 }))
  describeCoordination('Redis with protocol 3', () => openNodes({ ...server.settings, protocol: 3, db: 3 }))

  test('a hold that nobody contests is two commands', async () => {
    const { locks, close } = await openNode({ ...server.settings, prefix: freshPrefix() })
    await locks.hold('warm', { when: 'give up' }, async () => {})
    const before = await calls(server)
    for (let n = 0; n < 50; n++) await locks.hold(`name ${n}`, { when: 'give up' }, async () => {})
    assert.equal((await calls(server)) - before, 100)
    await close()
  })

  test('nothing is left in Redis but what expires', async () => {
    const prefix = freshPrefix()
    const node = await openNode({ ...server.settings, prefix })
    await node.locks.hold('name', { when: 'wait' }, async () => {})
    await node.counters.add('name', 1, 60_000)
    await node.singleFlight.once('name', async () => {})
    await node.close()
    const keys = (await server.cli('KEYS', `${prefix}*`)).split('\n').filter((key) => key !== '')
    assert.equal(keys.length, 2)
    for (const key of keys) assert.ok(Number(await server.cli('PTTL', key)) > 0, key)
  })

  test('several addresses without sentinels or a cluster are refused', async () => {
    const { settings } = server
    const twice = { ...settings, addresses: [...settings.addresses, ...settings.addresses] }
    await assert.rejects(openRedisCoordination(twice), /2 addresses/)
  })
})

describe('through a guarded Redis server', needs('redis-server', 'redis-cli', 'openssl'), () => {
  let server: RedisServer
  before(async () => {
    server = await startGuardedRedis()
  })
  after(() => server.stop())

  describeCoordination('Redis behind TLS, with rights for what is needed alone', () => openNodes(server.settings))
  describeCoordination('Redis behind TLS with protocol 2', () => openNodes({ ...server.settings, protocol: 2 }))

  const wrong: Readonly<Record<string, (right: RedisSettings) => RedisSettings>> = {
    'a wrong password': (right) => ({ ...right, password: `${aclPassword}-wrong` }),
    'a wrong password of protocol 2': (right) => ({ ...right, password: `${aclPassword}-wrong`, protocol: 2 }),
    'a certificate nobody knows': (right) => ({ ...right, tls: { skipVerify: false } }),
    'no TLS': ({ tls: _, ...right }) => right,
    'a prefix without rights': (right) => ({ ...right, prefix: 'other:' }),
  }
  for (const [what, change] of Object.entries(wrong)) {
    test(`a node with ${what} comes up alone, says why, and shows no password`, async () => {
      const said: string[] = []
      const say = (reason: string) => said.push(reason)
      const node = await openNode(change(server.settings), { onAway: say, onRefusal: say })
      assert.equal(await node.locks.hold('name', { when: 'give up', fenced: true }, async () => 'done'), 'done')
      assert.equal(await node.counters.add('name', 1, 60_000), 1)
      await node.close()
      assert.ok(said.length > 0)
      for (const each of said) assert.ok(each.length > 5 && !each.includes(aclPassword), each)
    })
  }
})

/** How many commands Redis has been sent by clients, those of scripts not counted. */
async function calls(server: RedisServer): Promise<number> {
  const stats = await server.cli('INFO', 'commandstats')
  const of = (name: string) => Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
  return of('eval') + of('evalsha')
}

const nobody = redisSettings(1)
const lonely: Readonly<Record<string, RedisSettings>> = {
  server: nobody,
  sentinel: { ...nobody, sentinel: { name: 'berth', password: aclPassword } },
  cluster: { ...nobody, cluster: true, password: aclPassword },
}
for (const [what, settings] of Object.entries(lonely)) {
  test(`a node that finds no ${what} comes up alone, says why, and can be closed`, async () => {
    const said: string[] = []
    const node = await openNode(settings, { onAway: (reason) => said.push(reason) })
    assert.equal(node.isReachable(), false)
    assert.equal(await node.locks.hold('name', { when: 'give up', fenced: true }, async () => 'done'), 'done')
    const busy = node.locks.hold('name', { when: 'wait', patienceMs: 50 }, async () => {})
    await assert.rejects(busy, LockBusy)
    await node.close()
    assert.equal(said.length, 1)
    assert.match(said.join(), /connect|sentinels|startup nodes|slots/)
  })
}
