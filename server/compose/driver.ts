/** Where bytes are, as the configuration chooses. A driver is imported only when it is chosen. */
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { StorageDriver } from '../../storage/driver.ts'
import type { Settings } from '../config/settings.ts'

/** The folder of this machine that a store has: for its lock, its socket, and its database where that is embedded. */
export interface Root {
  readonly path: string
  /** Whether commands find the server there. */
  readonly isShown: boolean
}

/** Nothing where the store has no folder here that others could find. */
export function shownRootOf({ storage, metadata }: Settings): string | undefined {
  const { driver } = storage
  if (driver.name === 'filesystem') return driver.root
  const { path } = metadata.sqlite
  return driver.name === 's3' && path !== undefined ? dirname(path) : undefined
}

export function rootOf(settings: Settings): Root {
  const shown = shownRootOf(settings)
  return { path: shown ?? fs.mkdtempSync(join(tmpdir(), 'berth-')), isShown: shown !== undefined }
}

/** What tells the store of one configuration from that of another. */
export function placeOf({ storage: { driver } }: Settings): string {
  if (driver.name !== 's3') return driver.name
  return JSON.stringify([driver.endpoint ?? driver.region, driver.bucket, driver.root])
}

export async function openDriver({ storage }: Settings): Promise<StorageDriver> {
  const { driver, redirect } = storage
  switch (driver.name) {
    case 'inmemory': {
      const { MemoryDriver } = await import('../../storage/drivers/memory.ts')
      return new MemoryDriver()
    }
    case 'filesystem': {
      const { FilesystemDriver } = await import('../../storage/drivers/filesystem/filesystem.ts')
      return new FilesystemDriver(driver.root)
    }
    case 's3': {
      const { openS3Driver } = await import('../../storage/drivers/s3/s3-driver.ts')
      return openS3Driver({ ...driver, addressLifetimeMs: redirect.lifetimeMs })
    }
  }
}
