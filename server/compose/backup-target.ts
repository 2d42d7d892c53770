/** The folder that a backup is written to: a root of its own, which nobody serves meanwhile. */
import fs from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { FactQueries, Facts } from '../../metadata/facts.ts'
import { openSqliteFacts } from '../../metadata/sqlite.ts'
import { Failure } from '../../oci/failure.ts'
import type { StorageDriver } from '../../storage/driver.ts'
import { lockRoot, RootInUse, type RootLock } from '../../storage/root-lock.ts'
import { NotBackedUp } from '../../upkeep/backup/parts.ts'

/** Where a folder really is, links followed; of one that is not there yet, where it would be. */
export function locate(folder: string): string {
  try {
    return fs.realpathSync(folder)
  } catch (error) {
    const parent = dirname(folder)
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === folder) throw error
    return join(locate(parent), basename(folder))
  }
}

/** A folder that `mayTake` refuses stays as it is: the lock would be a file in it. */
export async function openTarget(
  folder: string,
  mayTake: (target: StorageDriver) => Promise<void>,
): Promise<StorageDriver> {
  const { FilesystemDriver } = await import('../../storage/drivers/filesystem/filesystem.ts')
  const driver = new FilesystemDriver(folder)
  const close = driver.close.bind(driver)
  let lock: RootLock
  try {
    await mayTake(driver)
    lock = lockTarget(folder)
  } catch (error) {
    await close()
    throw error
  }
  return Object.assign(driver, {
    close: async () => {
      await close()
      lock.release()
    },
  })
}

function lockTarget(folder: string): RootLock {
  try {
    return lockRoot(folder)
  } catch (error) {
    if (!(error instanceof RootInUse)) throw error
    throw new NotBackedUp(`${folder} is being served, or written to, by another Berth: choose another folder`)
  }
}

/** A disk that fails below it fails the backup, and never the server. */
export async function openCopy(path: string): Promise<Facts> {
  let failed: NotBackedUp | undefined
  const onFatal = (error: Error): void => {
    failed ??= refusal(`${path} cannot be made durable`, error)
  }
  const facts = await openSqliteFacts({ path, onLargeWal: () => {}, onFatal })
  async function write<T>(work: (facts: FactQueries) => Promise<T>, options?: { durable?: boolean }): Promise<T> {
    try {
      const result = await facts.write(work, options)
      if (failed === undefined) return result
    } catch (error) {
      const cause = error instanceof Failure ? error.cause : error
      if (failed === undefined) {
        if (!isOfSqlite(cause)) throw error
        failed = refusal(`${path} cannot be written`, cause)
      }
    }
    throw failed
  }
  return { ...facts, write }
}

const isOfSqlite = (error: unknown): error is Error => error instanceof Error && 'errcode' in error

function refusal(what: string, cause: Error): NotBackedUp {
  return new NotBackedUp(`${what} (${cause.message}): look at the disk below it, and make the backup again`, { cause })
}
