/** Nodes for the tests of coordination through Redis: quick leases, and a prefix nobody else has. */
import type { Coordination } from '../../coordination/coordination.ts'
import type { RedisSettings } from '../../coordination/redis/client.ts'
import type { LeaseTimes } from '../../coordination/redis/lease.ts'
import { openRedisCoordination, type RedisCoordinationOptions } from '../../coordination/redis/open.ts'
import type { Nodes } from '../contracts/coordination-tools.ts'

export const quickTimes = { ttlMs: 1_200, renewMs: 300, pollMs: 200, handOverMs: 200 } satisfies Partial<LeaseTimes>

/** For what is judged by when things happened: a process of a busy machine may not run for a second. */
export const steadyTimes = { ttlMs: 2_500, renewMs: 400, pollMs: 200, handOverMs: 300 } satisfies Partial<LeaseTimes>

export const freshPrefix = (): string => `berth:${crypto.randomUUID()}:`

export function openNode(settings: RedisSettings, options: RedisCoordinationOptions = {}): Promise<Coordination> {
  return openRedisCoordination(settings, { times: quickTimes, ...options })
}

export async function openNodes(settings: RedisSettings): Promise<Nodes> {
  const own = { ...settings, prefix: freshPrefix() }
  return Promise.all([openNode(own), openNode(own), openNode(own)])
}
