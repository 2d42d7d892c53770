/** Coordination through Redis. It comes up whether or not Redis does. */
import type { Coordination } from '../coordination.ts'
import type { RedisSettings } from './client.ts'
import { createRedisCounters } from './counters.ts'
import type { LeaseTimes } from './lease.ts'
import { createRedisLocks } from './leases.ts'
import { openLink, type RedisWatch } from './link.ts'
import { createRedisNotices } from './notices.ts'
import { createRedisSingleFlight } from './single-flight.ts'

export interface RedisCoordinationOptions extends RedisWatch {
  readonly times?: Partial<LeaseTimes>
  /** What a listener of notices threw. */
  readonly onError?: (error: unknown) => void
}

/** A dead holder is waited for no longer than the first; a living one misses it only by failing three renewals. */
const defaultTimes = { ttlMs: 5_000, renewMs: 1_500, pollMs: 400, handOverMs: 300, awayMs: 1_000 }

export async function openRedisCoordination(
  settings: RedisSettings,
  { times, onError, ...watch }: RedisCoordinationOptions = {},
): Promise<Coordination> {
  const { addresses, sentinel, cluster, commandTimeoutMs } = settings
  if (addresses.length === 0) throw new Error('redis needs the address of a server')
  if (addresses.length > 1 && !sentinel && !cluster) {
    throw new Error(`redis has ${addresses.length} addresses, which is for sentinels or a cluster: name one server`)
  }
  const link = openLink(settings, watch)
  const locks = createRedisLocks(link, { ...defaultTimes, answerMs: commandTimeoutMs, ...times })
  await link.opened()
  return {
    locks,
    notices: createRedisNotices(link, onError),
    counters: createRedisCounters(link),
    singleFlight: createRedisSingleFlight(link, locks),
    isReachable: link.isReachable,
    close: link.close,
  }
}
