/** What breaks while clients work: one thing after the other, sometimes two at once, and everything is mended at the end. */
import { setTimeout as sleep } from 'node:timers/promises'
import { chance, pick } from '../kill/world.ts'
import type { Cluster } from './cluster.ts'
import type { ClusterNode } from './node.ts'
import type { Wires } from './services.ts'

export interface Faults {
  /** How often each was there. */
  readonly counts: Readonly<Record<string, number>>
  /** Answers what mends everything. */
  start(): () => Promise<void>
}

/** Happens, and is over when its promise is. */
type Fault = (cluster: Cluster, signal: AbortSignal) => Promise<void>

/** Longer than a lease lives: its holder comes back and finds another. */
const lostLeaseMs = 6500
const pauseBetweenMs = 500

const somewhat = (signal: AbortSignal, most = 1500) => rest(Math.random() * most, signal)
const rest = (ms: number, signal: AbortSignal) => sleep(ms, undefined, { signal }).catch(() => {})

const faults: Readonly<Record<string, Fault>> = {
  'a node is killed': ({ nodes }) =>
    without(nodes, async (node) => {
      await node.kill()
      await node.start()
    }),
  'a node stands still': ({ nodes }, signal) =>
    without(nodes, async (node) => {
      node.pause()
      await (chance(0.3) ? rest(lostLeaseMs, signal) : somewhat(signal))
      node.resume()
    }),
  'Redis is flushed': async ({ services: { redis } }) => {
    // Where it is stopped, it comes back empty anyway.
    await redis.cli('FLUSHALL').catch(() => {})
  },
  'Redis is stopped': async ({ services: { redis } }, signal) => {
    await redis.stop()
    await somewhat(signal)
    await redis.start()
  },
  'Redis is slow': (cluster, signal) => slow(cluster, 'redis', 300, signal),
  'a node hears nothing of Redis': async ({ nodes }, signal) => {
    const { redis } = pick(nodes).wires
    redis.drop()
    await (chance(0.3) ? rest(lostLeaseMs, signal) : somewhat(signal))
    await redis.heal()
  },
  'PostgreSQL crashes': async ({ services: { postgres } }, signal) => {
    await postgres.crash()
    if (chance(0.5)) await somewhat(signal, 800)
    await postgres.start()
  },
  'connections to PostgreSQL break': async (cluster) => {
    for (const wire of cluster.wires('postgres')) wire.cut()
  },
  'PostgreSQL is slow': (cluster, signal) => slow(cluster, 'postgres', 20, signal),
  'S3 answers 503': async ({ services: { gate } }, signal) => {
    gate?.refuse(pick([0.2, 0.5, 1]))
    await somewhat(signal, 3000)
    gate?.refuse(0)
  },
  'answers of S3 are lost': async ({ services: { gate } }, signal) => {
    gate?.lose(0.2)
    await somewhat(signal)
    gate?.lose(0)
  },
  'connections to S3 break': async (cluster) => {
    for (const wire of cluster.wires('store')) wire.cut()
  },
  'a node cannot reach S3': async ({ nodes }, signal) => {
    const { store } = pick(nodes).wires
    await store.refuse()
    store.cut()
    await somewhat(signal)
    await store.heal()
  },
  'S3 is slow': (cluster, signal) => slow(cluster, 'store', 200, signal),
}

export function createFaults(cluster: Cluster): Faults {
  const counts: Record<string, number> = {}
  const running = new Set<string>()
  const waiting: string[] = []

  /** In an order of chance that leaves none out. */
  function next(): string {
    if (waiting.length === 0) waiting.push(...Object.keys(faults).sort(() => Math.random() - 0.5))
    return waiting.pop()!
  }

  async function happen(signal: AbortSignal): Promise<void> {
    for (;;) {
      await rest(Math.random() * pauseBetweenMs, signal)
      if (signal.aborted) return
      const name = next()
      if (running.has(name)) continue
      counts[name] = (counts[name] ?? 0) + 1
      running.add(name)
      await faults[name]!(cluster, signal).finally(() => running.delete(name))
    }
  }

  return {
    counts,
    start() {
      const ending = new AbortController()
      const { signal } = ending
      const happening = Promise.all([happen(signal), happen(signal)])
      // Told by `mend`.
      happening.catch(() => {})
      return async () => {
        ending.abort()
        await happening
      }
    },
  }
}

async function slow(cluster: Cluster, service: keyof Wires, ms: number, signal: AbortSignal): Promise<void> {
  for (const wire of cluster.wires(service)) wire.delay(ms * Math.random())
  await somewhat(signal)
  for (const wire of cluster.wires(service)) wire.delay(0)
}

const away = new WeakSet<ClusterNode>()

/** Takes a node out, while another one serves. */
async function without(nodes: readonly ClusterNode[], harm: (node: ClusterNode) => Promise<void>): Promise<void> {
  const serving = nodes.filter((node) => node.isUp && !away.has(node))
  if (serving.length < 2) return
  const node = pick(serving)
  away.add(node)
  await harm(node).finally(() => away.delete(node))
}
