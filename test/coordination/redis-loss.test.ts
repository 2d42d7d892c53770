/** Nodes that die or sleep, and a Redis that forgets, leaves, or says nothing. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, afterEach, before, describe, type TestContext, test } from 'node:test'
import type { Coordination } from '../../coordination/coordination.ts'
import { LockBusy } from '../../coordination/locks.ts'
import { forLong, held, released, whenAsked } from '../contracts/coordination-tools.ts'
import { type RedisServer, startRedis, until } from '../support/redis.ts'
import { needs, projectRoot } from '../support/tools.ts'
import type { HolderTask } from './redis-holder.ts'
import { freshPrefix, openNode, quickTimes } from './redis-nodes.ts'

let server: RedisServer
const opened: Coordination[] = []

async function openTwo(): Promise<[Coordination, Coordination, string]> {
  const prefix = freshPrefix()
  const settings = { ...server.settings, prefix }
  const nodes = await Promise.all([openNode(settings), openNode(settings)])
  opened.push(...nodes)
  return [...nodes, prefix]
}

function startHolder(t: TestContext, task: Omit<HolderTask, 'settings'>, prefix: string) {
  const settings = { ...server.settings, prefix }
  const script = `${projectRoot}/test/coordination/redis-holder.ts`
  const child = spawn(process.execPath, [script, JSON.stringify({ settings, ...task })], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  let lines = ''
  child.stdout.on('data', (part: Buffer) => {
    lines += part.toString()
  })
  const said = (line: string) => until(`the other process says ${line}`, () => lines.split('\n').includes(line))
  const kill = async () => {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  return { child, said, kill, lines: () => lines }
}

/** What a lease may take to end once its holder is gone, and not a test's whole patience. */
const yields = { when: 'wait', patienceMs: quickTimes.ttlMs + 3_000 } as const

describe('through Redis', needs('redis-server', 'redis-cli'), () => {
  before(async () => {
    server = await startRedis()
  })
  afterEach(() => Promise.all(opened.splice(0).map((node) => node.close())))
  after(() => server.stop())

  test('the lock of a process that was killed is free when its lease has ended', async (t) => {
    const [node, , prefix] = await openTwo()
    const holder = startHolder(t, { name: 'name' }, prefix)
    await holder.said('held')
    await assert.rejects(held(node, 'name'), LockBusy)
    await holder.kill()
    await released(await held(node, 'name', yields))
  })

  test('a node that is closed lets its process end', async (t) => {
    const [, , prefix] = await openTwo()
    const holder = startHolder(t, { name: 'name' }, prefix)
    await holder.said('held')
    holder.child.stdin.end()
    assert.deepEqual(await once(holder.child, 'exit'), [0, null])
  })

  test('the flight of a process that was killed is taken over', async (t) => {
    const [node, , prefix] = await openTwo()
    const holder = startHolder(t, { name: 'name', flies: true }, prefix)
    await holder.said('held')
    const flight = node.singleFlight.once('name', async () => 'mine', forLong)
    await holder.kill()
    assert.deepEqual(await flight, { outcome: 'ran', value: 'mine' })
  })

  for (const [what, taking] of Object.entries({
    work: { when: 'wait' },
    'fenced work': { when: 'wait', fenced: true },
  } as const)) {
    test(`${what} that slept for longer than its lease finds itself asked, whether or not another came`, async (t) => {
      const [node, , prefix] = await openTwo()
      const holders = ['taken', 'left'].map((name) => startHolder(t, { name, taking }, prefix))
      for (const { said } of holders) await said('held')
      for (const { child } of holders) child.kill('SIGSTOP')
      const other = await held(node, 'taken', yields)
      await until('both leases have ended', async () => !(await node.locks.isHeld('left')))
      for (const { child } of holders) child.kill('SIGCONT')
      for (const { said } of holders) await said('asked')
      assert.equal(other.asked.aborted, false)
      await released(other)
      await until('the one that goes on has its lease again', () => node.locks.isHeld('left'))
    })
  }

  test('a holder keeps its lock when Redis forgets everything and nobody else comes', async () => {
    const [one, other] = await openTwo()
    const first = await held(one, 'name')
    await server.cli('FLUSHALL')
    await until('the lease is there again', () => other.locks.isHeld('name'))
    await assert.rejects(held(other, 'name'), LockBusy)
    assert.equal(first.asked.aborted, false)
    await released(first)
    assert.equal(await other.locks.isHeld('name'), false)
  })

  test('a holder is told when Redis forgot its lock and another has it', async () => {
    const [one, other] = await openTwo()
    const first = await held(one, 'name')
    await server.cli('FLUSHALL')
    const second = await held(other, 'name', { when: 'wait' })
    await whenAsked(first.asked)
    await released(first)
    await assert.rejects(held(one, 'name'), LockBusy)
    assert.equal(second.asked.aborted, false)
    await released(second)
  })

  test('scripts that Redis forgot are sent again', async () => {
    const [one, other] = await openTwo()
    for (const node of [one, other, one, other]) {
      await released(await held(node, 'name'))
      await server.cli('SCRIPT', 'FLUSH')
    }
  })

  test('a living holder is asked by one message, and the next is told its turn by one', async () => {
    const settings = { ...server.settings, prefix: freshPrefix() }
    const never = { ttlMs: 600_000, renewMs: 600_000, pollMs: 600_000, handOverMs: 600_000 }
    const nodes = await Promise.all([openNode(settings, { times: never }), openNode(settings, { times: never })])
    opened.push(...nodes)
    const first = await held(nodes[0], 'name')
    const second = held(nodes[1], 'name', { when: 'ask', patienceMs: forLong })
    await whenAsked(first.asked)
    await released(first)
    await released(await second)
  })

  test('a node that hears no messages is asked all the same, and comes to its turn', async () => {
    await server.cli('ACL', 'SETUSER', 'deaf', 'on', '>deaf', '~*', '&*', '+@all', '-subscribe')
    const settings = { ...server.settings, prefix: freshPrefix(), username: 'deaf', password: 'deaf' }
    const nodes = await Promise.all([openNode(settings), openNode(settings)])
    opened.push(...nodes)
    const first = await held(nodes[0], 'name')
    const second = held(nodes[1], 'name', { when: 'ask', patienceMs: forLong })
    await whenAsked(first.asked)
    await released(first)
    await released(await second)
  })

  test('a node that loses its connections hears and is heard again', async () => {
    const [one, other] = await openTwo()
    const heard: string[] = []
    other.notices.listen('topic', (text) => heard.push(text))
    const first = await held(one, 'name')
    for (const type of ['normal', 'pubsub']) await server.cli('CLIENT', 'KILL', 'TYPE', type)
    await until('notices arrive', () => {
      one.notices.tell('topic', 'text')
      return heard.length > 0
    })
    await until('the lock is seen', () => other.locks.isHeld('name'))
    assert.equal(first.asked.aborted, false)
    await released(first)
  })

  test('a lock whose leaving Redis never heard of is taken again by its own node at once', async () => {
    const [one, other] = await openTwo()
    const first = await held(one, 'name')
    server.pause()
    await released(first)
    server.resume()
    await until('Redis answers', () => one.isReachable())
    await released(await held(one, 'name', { when: 'wait', patienceMs: forLong }))
    await released(await held(other, 'name', { when: 'wait', patienceMs: forLong }))
  })
})
