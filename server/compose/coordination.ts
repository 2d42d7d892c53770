/**
 * How nodes hear of each other: through Redis, where there is one, or not at all; and how worker processes of one machine
 * do: through Redis as well, or through their parent.
 */
import fs from 'node:fs'
import type { Coordination } from '../../coordination/coordination.ts'
import type { RedisTls } from '../../coordination/redis/client.ts'
import type { WorkerChannel } from '../../coordination/workers/messages.ts'
import { createParent, type Parent } from '../../coordination/workers/parent.ts'
import type { WorkerCoordination } from '../../coordination/workers/worker.ts'
import type { RedisSettings, RedisTlsSettings, Settings } from '../config/settings.ts'
import type { Logger } from '../log.ts'

/** What a process that keeps a store needs, for itself and for its workers. */
export async function openParent({ redis }: Settings, log: Logger): Promise<Parent> {
  return createParent(redis && (await openRedis(redis, log)), notTaken(log))
}

export async function openCoordination(settings: Settings, log: Logger): Promise<Coordination> {
  return (await openParent(settings, log)).coordination
}

/** What a worker needs. Turns to settle come from its parent in any case: one process flushes for all. */
export async function openWorker(
  { redis }: Settings,
  channel: WorkerChannel,
  log: Logger,
): Promise<WorkerCoordination> {
  const { createWorkerCoordination } = await import('../../coordination/workers/worker.ts')
  const ofParent = createWorkerCoordination(channel, notTaken(log))
  return redis ? { ...ofParent, coordination: await openRedis(redis, log) } : ofParent
}

const notTaken = (log: Logger) => (error: unknown) => log.error({ err: error }, 'a notice could not be taken')

async function openRedis({ tls, ...rest }: RedisSettings, log: Logger): Promise<Coordination> {
  const { openRedisCoordination } = await import('../../coordination/redis/open.ts')
  return openRedisCoordination(tls ? { ...rest, tls: readTls(tls) } : rest, {
    onError: notTaken(log),
    onAway: (reason) => log.warn({ reason }, 'Redis is away: pulls and pushes go on, what needs all nodes rests'),
    onBack: () => log.info('Redis is back'),
    onRefusal: (reason) => log.error({ reason }, 'Redis refuses a command'),
  })
}

function readTls({ ca, certificate, key, skipVerify }: RedisTlsSettings): RedisTls {
  const read = (path: string) => fs.readFileSync(path, 'utf8')
  return {
    skipVerify,
    ...(ca && { ca: ca.map(read).join('\n') }),
    ...(certificate !== undefined && { certificate: read(certificate) }),
    ...(key !== undefined && { key: read(key) }),
  }
}
