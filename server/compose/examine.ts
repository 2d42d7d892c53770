/** Asking the services themselves whether they do what Berth relies on. */
import type { Examined } from '../../storage/driver.ts'
import type { Settings } from '../config/settings.ts'
import { openLog } from '../log.ts'
import { openCoordination } from './coordination.ts'
import { openDriver } from './driver.ts'

export interface ExaminedService {
  readonly service: string
  readonly results: readonly Examined[]
}

export async function* examineServices(settings: Settings): AsyncIterable<ExaminedService> {
  yield { service: 'storage', results: await examineStorage(settings) }
  const { postgres } = settings.metadata
  if (postgres) {
    const { examinePostgres } = await import('../../metadata/postgres/examine.ts')
    yield { service: 'metadata.postgres', results: await examinePostgres(postgres.url, postgres.poolSize) }
  }
  if (settings.redis) yield { service: 'redis', results: [await examineRedis(settings)] }
}

async function examineStorage(settings: Settings): Promise<readonly Examined[]> {
  const check = 'it can be written'
  try {
    const driver = await openDriver(settings)
    try {
      if (driver.examine) return await driver.examine()
      await driver.probe()
      return [{ check, ok: true, detail: 'yes' }]
    } finally {
      await driver.close()
    }
  } catch (error) {
    return [{ check, ok: false, detail: error instanceof Error ? error.message : String(error) }]
  }
}

async function examineRedis(settings: Settings): Promise<Examined> {
  const check = 'a lease is given and taken back'
  const log = await openLog({ ...settings.log, level: 'silent' })
  const coordination = await openCoordination(settings, log)
  try {
    await coordination.locks.hold(`examine/${process.pid}`, { when: 'give up' }, async () => {})
    return { check, ok: true, detail: 'yes' }
  } catch {
    const detail = 'Redis cannot be reached: pulls and pushes would go on without it, collecting and settling would not'
    return { check, ok: false, detail }
  } finally {
    await coordination.close()
  }
}
