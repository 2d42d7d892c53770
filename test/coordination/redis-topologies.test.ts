/** A master that sentinels name, and a cluster. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Coordination } from '../../coordination/coordination.ts'
import { describeCoordination } from '../contracts/coordination-contract.ts'
import { forLong, held, released, whenAsked } from '../contracts/coordination-tools.ts'
import { startCluster, startSentinels, until } from '../support/redis.ts'
import { needs } from '../support/tools.ts'
import { freshPrefix, openNode, openNodes } from './redis-nodes.ts'

describe('through sentinels', needs('redis-server', 'redis-cli'), () => {
  let sentinels: Awaited<ReturnType<typeof startSentinels>>
  before(async () => {
    sentinels = await startSentinels()
  })
  after(() => sentinels.stop())

  describeCoordination('the master that sentinels name', () => openNodes(sentinels.settings))

  test('nodes follow to the new master, and a holder takes its lock along', async (t) => {
    const settings = { ...sentinels.settings, prefix: freshPrefix() }
    const nodes = await Promise.all([openNode(settings), openNode(settings)] as const)
    t.after(() => Promise.all(nodes.map((node) => node.close())))
    const [one, other] = nodes
    const first = await held(one, 'name', { when: 'wait', fenced: true })
    await sentinels.master.stop()
    await until('there is a new master', async () => (await sentinels.replica.cli('ROLE')).startsWith('master'), 30_000)
    await until('both nodes are with it', () => one.isReachable() && other.isReachable(), 30_000)
    await until('the lease is there', () => other.locks.isHeld('name'))
    assert.equal(first.asked.aborted, false)
    const second = held(other, 'name', { when: 'ask', patienceMs: forLong })
    await whenAsked(first.asked)
    await released(first)
    await released(await second)

    // The old one comes back, becomes a replica, and is made the master again while nodes are connected.
    await sentinels.master.start()
    const follows = async () => (await sentinels.master.cli('INFO', 'replication')).includes('link_status:up')
    await until('the old master follows', follows, 60_000)
    const third = await held(one, 'name', { when: 'wait', fenced: true, patienceMs: forLong })
    await until(
      'the sentinel agrees',
      async () => (await sentinels.ask('SENTINEL', 'FAILOVER', 'berth')) === 'OK',
      30_000,
    )
    await until('the old master leads', async () => (await sentinels.master.cli('ROLE')).startsWith('master'), 30_000)
    await until('other work is possible there', () => worksAlone(other), 30_000)
    await until('the lease is there', () => other.locks.isHeld('name'))
    assert.equal(third.asked.aborted, false)
    await released(third)
  })
})

async function worksAlone(node: Coordination): Promise<boolean> {
  return node.locks.hold('other', { when: 'give up' }, async () => true)
}

describe('through a cluster', needs('redis-server', 'redis-cli'), () => {
  let cluster: Awaited<ReturnType<typeof startCluster>>
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster.stop())

  describeCoordination('a cluster', () => openNodes(cluster.settings))
  describeCoordination('a cluster with protocol 2', () => openNodes({ ...cluster.settings, protocol: 2 }))

  test('nodes go on without a cluster that has lost a part, and come back with it', async (t) => {
    const settings = { ...cluster.settings, prefix: freshPrefix() }
    const nodes = await Promise.all([openNode(settings), openNode(settings)] as const)
    t.after(() => Promise.all(nodes.map((node) => node.close())))
    const [one, other] = nodes
    const names = Array.from({ length: 6 }, (_, n) => `name ${n}`)
    const all = await Promise.all(names.map((name) => held(one, name, { when: 'wait', fenced: true })))
    const [, second] = cluster.servers
    await second?.stop()
    for (const name of names) await released(await held(other, `new ${name}`, { when: 'give up', fenced: true }))
    await second?.start()
    for (const name of names) await until(`${name} has its lease`, () => other.locks.isHeld(name), 30_000)
    assert.deepEqual(
      all.filter(({ asked }) => asked.aborted),
      [],
    )
    await Promise.all(all.map(released))
    await released(await held(other, 'name 0', { when: 'wait', patienceMs: forLong }))
  })
})
