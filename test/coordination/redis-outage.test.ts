/** Redis goes and comes back, or is not there yet: what goes on meanwhile, and what does not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Coordination } from '../../coordination/coordination.ts'
import { LockBusy } from '../../coordination/locks.ts'
import { openRedisCoordination } from '../../coordination/redis/open.ts'
import { forLong, held, released, sleep, whenAsked } from '../contracts/coordination-tools.ts'
import { type RedisServer, startRedis, until } from '../support/redis.ts'
import { needs } from '../support/tools.ts'
import { freshPrefix, openNode } from './redis-nodes.ts'

let server: RedisServer
const opened: Coordination[] = []

async function openTwo(): Promise<[Coordination, Coordination, string]> {
  const prefix = freshPrefix()
  const settings = { ...server.settings, prefix }
  const nodes = await Promise.all([openNode(settings), openNode(settings)])
  opened.push(...nodes)
  return [...nodes, prefix]
}

/** How Redis goes, and how it comes back. */
const outages = {
  'is stopped for ten seconds': {
    go: () => server.stop(),
    comeBack: () => server.start(),
  },
  'says nothing for ten seconds': {
    go: async () => server.pause(),
    comeBack: async () => server.resume(),
  },
}

for (const [what, { go, comeBack }] of Object.entries(outages)) {
  test(
    `fenced work goes on while Redis ${what}, other work is refused, and all comes back by itself`,
    needs('redis-server', 'redis-cli'),
    async () => {
      server = await startRedis()
      try {
        await surviveOutage(go, comeBack)
      } finally {
        await Promise.all(opened.splice(0).map((node) => node.close()))
        server.resume()
        await server.stop()
      }
    },
  )
}

async function surviveOutage(go: () => Promise<void>, comeBack: () => Promise<void>): Promise<void> {
  const [one, other] = await openTwo()
  const heard: string[] = []
  other.notices.listen('topic', (text) => heard.push(text))
  const fenced = await held(one, 'fenced', { when: 'wait', fenced: true })
  const bare = await held(one, 'bare')
  await go()
  const wentAt = performance.now()

  const without = await held(one, 'new', { when: 'wait', fenced: true })
  await assert.rejects(held(one, 'new', { when: 'give up', fenced: true }), LockBusy)
  await released(await held(other, 'another', { when: 'give up', fenced: true }))
  for (const when of ['give up', 'wait', 'ask'] as const) {
    await assert.rejects(held(other, `${when}`, { when, patienceMs: 200 }), LockBusy)
  }
  assert.deepEqual([one.isReachable(), other.isReachable()], [false, false])
  assert.equal(await one.counters.add('count', 1, 60_000), 1)
  assert.equal(await other.counters.add('count', 1, 60_000), 1)
  assert.equal(await one.locks.isHeld('elsewhere'), false)
  assert.equal((await one.singleFlight.once('flight', async () => {})).outcome, 'ran')
  one.notices.tell('topic', 'lost')
  await whenAsked(bare.asked)
  const patient = { when: 'wait', patienceMs: 2 * forLong } as const
  await assert.rejects(held(other, 'patient', patient), LockBusy)
  await sleep(10_000 - (performance.now() - wentAt))
  assert.deepEqual([fenced.asked.aborted, without.asked.aborted], [false, false])

  await comeBack()
  await until('others can hold again', () =>
    held(other, 'patient', patient)
      .then(released)
      .then(
        () => true,
        () => false,
      ),
  )
  for (const name of ['fenced', 'bare', 'new']) {
    await until(`${name} has its lease`, () => other.locks.isHeld(name))
    await assert.rejects(held(other, name, { when: 'give up', fenced: true }), LockBusy)
  }
  await until('notices arrive', () => {
    one.notices.tell('topic', 'text')
    return heard.includes('text')
  })
  assert.deepEqual([fenced.asked.aborted, without.asked.aborted], [false, false])
  await Promise.all([fenced, bare, without].map(released))
  await released(await held(other, 'fenced', { when: 'wait', patienceMs: forLong }))
}

test(
  'a node that starts while Redis says nothing joins the others when it speaks',
  needs('redis-server', 'redis-cli'),
  async () => {
    server = await startRedis()
    try {
      server.pause()
      const settings = { ...server.settings, prefix: freshPrefix() }
      const node = await openNode(settings)
      opened.push(node)
      await released(await held(node, 'name', { when: 'wait', fenced: true }))
      await assert.rejects(held(node, 'name'), LockBusy)
      server.resume()
      await until('the node is there', () => node.isReachable())
      await released(await held(node, 'name'))
    } finally {
      await Promise.all(opened.splice(0).map((node) => node.close()))
      server.resume()
      await server.stop()
    }
  },
)

test('a node that starts before Redis joins the others when it comes', needs('redis-server', 'redis-cli'), async () => {
  server = await startRedis()
  await server.stop()
  try {
    const said: string[] = []
    const settings = { ...server.settings, prefix: freshPrefix() }
    const node = await openRedisCoordination(settings, {
      onAway: (reason) => said.push(reason),
      onBack: () => said.push('back'),
    })
    assert.equal(node.isReachable(), false)
    await released(await held(node, 'name', { when: 'wait', fenced: true }))
    await server.start()
    await until('the node is there', () => node.isReachable())
    const other = await openNode(settings)
    opened.push(node, other)
    const first = await held(node, 'name')
    const second = held(other, 'name', { when: 'ask', patienceMs: forLong })
    await whenAsked(first.asked)
    await released(first)
    await released(await second)
    assert.match(said.join(', '), /^[^,]*ECONNREFUSED[^,]*, back$/)
  } finally {
    await Promise.all(opened.splice(0).map((node) => node.close()))
    await server.stop()
  }
})
