/**
 * Nodes that take locks at random, die at random, and share a Redis that forgets at random. The promise: as long as Redis
 * forgets nothing, nobody believes in a lock that another has, dead nodes or not; and within one process nobody ever does.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import type { Coordination } from '../../coordination/coordination.ts'
import { sleep } from '../contracts/coordination-tools.ts'
import { type RedisServer, startRedis, until } from '../support/redis.ts'
import { needs, projectRoot } from '../support/tools.ts'
import { assertNobodyOvertaken, type Flush, type Holding, now, takeAny } from './redis-history.ts'
import { freshPrefix, openNode, steadyTimes } from './redis-nodes.ts'

const nodeCount = 8
const takeCount = 200

describe('nodes that do anything at any time', needs('redis-server', 'redis-cli'), () => {
  let server: RedisServer
  before(async () => {
    server = await startRedis()
  })
  after(() => server.stop())

  test('never overtake each other while Redis forgets nothing, whoever dies', async () => {
    const { holdings } = await runNodes(server, { flushes: false })
    assert.ok(holdings.length > 50, `${holdings.length} holdings`)
    assert.equal(assertNobodyOvertaken(holdings), 0)
  })

  test('overtake each other only where Redis forgot, and never within a node', async () => {
    const { holdings, flushes } = await runNodes(server, { flushes: true })
    assert.ok(holdings.length > 50 && flushes.length > 2, `${holdings.length} holdings, ${flushes.length} flushes`)
    assertNobodyOvertaken(holdings, flushes)
  })

  test('never overtake each other as processes that are killed', async () => {
    const settings = JSON.stringify({ ...server.settings, prefix: freshPrefix() })
    const holdings: Holding[] = []
    const start = () => startProcess(settings, holdings)
    const processes = [start(), start(), start()]
    for (let n = 0; n < 4; n++) {
      await processes[n % 3]?.hasBegun(8)
      await processes[n % 3]?.kill()
      processes[n % 3] = start()
    }
    await Promise.all(processes.map((each) => each.hasBegun(8)))
    await Promise.all(processes.map((each) => each.leave()))
    assert.ok(holdings.length > 30, `${holdings.length} holdings`)
    assert.equal(assertNobodyOvertaken(holdings), 0)
  })
})

async function runNodes(server: RedisServer, chaos: { readonly flushes: boolean }) {
  const settings = { ...server.settings, prefix: freshPrefix() }
  const holdings: Holding[] = []
  const flushes: Flush[] = []
  let left = takeCount
  let born = 0

  /** One life; `left` takes are shared by all. A killed node leaves its leases and forgets its work. */
  async function live(node: Coordination, id: string, life: { endedAt?: number }): Promise<void> {
    const open = new Map<string, Omit<Holding, 'until'>>()
    const lane = async () => {
      while (left > 0 && life.endedAt === undefined) {
        left--
        await takeAny(
          node,
          (name, askedAt, from) => open.set(name, { node: id, name, askedAt, from }),
          (name, until) => {
            const begun = open.get(name)
            if (begun) holdings.push({ ...begun, until })
            open.delete(name)
          },
          () => life.endedAt === undefined,
        )
      }
    }
    await Promise.all([lane(), lane()])
    for (const begun of open.values()) holdings.push({ ...begun, until: life.endedAt ?? now() })
  }

  async function seat(): Promise<void> {
    while (left > 0) {
      const node = await openNode(settings, { times: steadyTimes })
      const life: { endedAt?: number } = {}
      const death = setTimeout(
        () => {
          life.endedAt = now()
          void node.close()
        },
        300 + Math.random() * 3_000,
      )
      await live(node, `node ${++born}`, life)
      clearTimeout(death)
      await node.close()
    }
  }

  const seats = Promise.all(Array.from({ length: nodeCount }, seat))
  while (left > 0) {
    await sleep(300)
    if (!chaos.flushes) continue
    const sent = now()
    await server.cli('FLUSHALL')
    flushes.push({ sent, answered: now() })
  }
  await seats
  return { holdings, flushes }
}

function startProcess(settings: string, holdings: Holding[]) {
  const child: ChildProcess = spawn(process.execPath, [
    `${projectRoot}/test/coordination/redis-random-node.ts`,
    settings,
  ])
  const gone = once(child, 'close')
  const node = String(child.pid)
  let text = ''
  child.stdout?.on('data', (part: Buffer) => {
    text += part.toString()
  })

  function keep(endedAt: number): void {
    const open = new Map<string, Omit<Holding, 'until'>>()
    // What was written last may be cut short.
    for (const line of text.slice(0, text.lastIndexOf('\n') + 1).split('\n')) {
      const [what, id = '', ...rest] = line.split(' ')
      const begun = open.get(id)
      if (what === 'begun') {
        const [name = '', askedAt, from] = rest
        open.set(id, { node, name, askedAt: Number(askedAt), from: Number(from) })
      } else if (what === 'ended' && begun) {
        holdings.push({ ...begun, until: Number(rest[0]) })
        open.delete(id)
      }
    }
    for (const begun of open.values()) holdings.push({ ...begun, until: endedAt })
  }

  return {
    hasBegun: (holds: number) =>
      until(`${holds} holds in one process`, () => text.split('begun').length > holds, 60_000),
    kill: async () => {
      const endedAt = now()
      child.kill('SIGKILL')
      await gone
      keep(endedAt)
    },
    leave: async () => {
      child.stdin?.end()
      await gone
      keep(now())
    },
  }
}
