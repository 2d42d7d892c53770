/** Where facts are, and what else the database knows that holds them: the time, and who else is here. */
import { join } from 'node:path'
import type { Facts } from '../../metadata/facts.ts'
import { layout } from '../../storage/layout.ts'
import type { SpaceWatch } from '../../upkeep/space.ts'
import type { PostgresSettings, Settings } from '../config/settings.ts'
import type { Logger } from '../log.ts'

export interface Surroundings {
  readonly log: Logger
  /** Nothing can be promised any more: the process must end. */
  readonly onFatal: (error: unknown) => void
  /** Whether processes of this machine serve the store beside this one, which keeps it for them. */
  readonly hasWorkers?: boolean
}

export interface Database {
  readonly facts: Facts
  /** Milliseconds since 1970, the same for all who share it. */
  readonly clock: () => number
  /** Runs `work` while nobody else starts; `alone`: nobody else serves the store now, nor will with `staysAlone`. */
  starting<T>(work: (alone: boolean) => Promise<T>, staysAlone?: boolean): Promise<T>
  close(): Promise<void>
}

/** `attached`: another process of this machine has opened it before, and keeps it. */
export function openDatabase(
  settings: Settings,
  root: string,
  surroundings: Surroundings,
  space: Pick<SpaceWatch, 'full'>,
  attached = false,
): Promise<Database> {
  const { postgres, sqlite } = settings.metadata
  if (postgres) return openShared(postgres, surroundings)
  return openEmbedded(sqlite.path ?? join(root, layout.database), surroundings, space, attached)
}

async function openEmbedded(
  path: string,
  { log, onFatal }: Surroundings,
  space: Pick<SpaceWatch, 'full'>,
  attached: boolean,
): Promise<Database> {
  const { openSqliteFacts } = await import('../../metadata/sqlite.ts')
  const facts = await openSqliteFacts({
    path,
    attached,
    onLargeWal: (bytes) => log.warn({ bytes }, 'the database log is large: something keeps it from being merged'),
    onMergeFailed: (reason) => {
      space.full()
      log.warn({ reason }, 'the database log could not be merged: nothing is lost, and it is tried again')
    },
    onFatal,
  })
  // Whoever shares it has the root's lock.
  return { facts, clock: Date.now, starting: (work) => work(true), close: () => facts.close() }
}

async function openShared({ url, poolSize }: PostgresSettings, { log }: Surroundings): Promise<Database> {
  const { openPostgresFacts } = await import('../../metadata/postgres.ts')
  const { openPresence } = await import('../../metadata/postgres/presence.ts')
  const facts = await openPostgresFacts({
    url,
    poolSize,
    onUnreachable: (error) => log.error({ reason: error.message }, 'the database cannot be reached'),
  })
  try {
    const presence = await openPresence(url, (error) => log.warn({ reason: error.message }, 'the database was away'))
    const close = async () => {
      await presence.close()
      await facts.close()
    }
    return { facts, clock: presence.clock, starting: presence.starting, close }
  } catch (error) {
    await facts.close()
    throw error
  }
}
