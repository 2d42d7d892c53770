import type { Counters } from '../counters.ts'
import { createLocalCounters } from '../local/counters.ts'
import type { RedisLink } from './link.ts'

export function createRedisCounters(link: RedisLink): Counters {
  const local = createLocalCounters()
  return {
    async add(name, by, windowMs) {
      // Counted here, too: without Redis this node goes on with what it has seen itself.
      const here = await local.add(name, by, windowMs)
      try {
        return await link.run((redis) => redis.berthCount(`${link.prefix}count/${name}`, by, windowMs))
      } catch {
        return here
      }
    },
  }
}
