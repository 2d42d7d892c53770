/** How many processes serve a store, and whether they can. */
import fs from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname } from 'node:path'
import { StartRefused } from '../../oci/failure.ts'
import type { Settings } from '../config/settings.ts'
import { shownRootOf } from './driver.ts'

/** One process commits at a time, so more of them wait for each other rather than for processors. */
const mostByThemselves = 4

/** Where nothing is said: one, unless the store is on a local disk and there are processors to spare for more. */
export async function countWorkers(settings: Settings, processors = availableParallelism()): Promise<number> {
  const { workers } = settings.http
  if (workers === 1) return 1
  const unshared = await unsharedDatabase(settings)
  if (typeof workers === 'number') {
    if (unshared === undefined) return workers
    throw new StartRefused(
      `http.workers is ${workers}, but the file system of ${unshared} cannot share a database between processes: set it to 1, or use PostgreSQL`,
    )
  }
  const isLocal = settings.storage.driver.name === 'filesystem' && unshared === undefined
  // One processor is left to whoever keeps the store.
  return isLocal && processors > 2 ? Math.min(mostByThemselves, processors - 1) : 1
}

async function unsharedDatabase({ metadata }: Settings): Promise<string | undefined> {
  const { path } = metadata.sqlite
  if (metadata.postgres || path === undefined) return undefined
  const { sharesMemory } = await import('../../metadata/sqlite.ts')
  let folder = dirname(path)
  while (!fs.existsSync(folder) && folder !== dirname(folder)) folder = dirname(folder)
  return sharesMemory(folder) ? undefined : path
}

/** Keeps the next one who takes the store from it, until the function it returns is called; keep that. */
export async function joinStore(settings: Settings): Promise<() => void> {
  const root = shownRootOf(settings)
  if (root === undefined) return () => {}
  const { joinWorkers } = await import('../../storage/worker-lock.ts')
  const lock = joinWorkers(root)
  return () => lock.release()
}
