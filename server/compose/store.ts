/**
 * Opening a store, for a server as for a command. Each `open…` is one choice that the configuration makes; a part is
 * imported only when it is chosen. The order is what makes it safe:
 *
 * ```
 * lock the root ─► sweep ─► open the facts ─► take ownership ─► is it a copy? ─► recover ─► parts
 * ```
 */
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInProcessLocks } from '../../coordination/in-process.ts'
import type { Facts } from '../../metadata/facts.ts'
import { openSqliteFacts } from '../../metadata/sqlite.ts'
import { createLiveHashes } from '../../registry/live-hashes.ts'
import type { LocalParts } from '../../registry/local-parts.ts'
import { createSettler } from '../../registry/settle.ts'
import { createBlobStore } from '../../storage/blob-store.ts'
import type { StorageDriver } from '../../storage/driver.ts'
import { layout } from '../../storage/layout.ts'
import { lockRoot } from '../../storage/root-lock.ts'
import { type Adopter, type AdopterParts, createAdopter } from '../../upkeep/adopt/adopt.ts'
import { type Collector, createCollector } from '../../upkeep/collect/collect.ts'
import type { Operations } from '../../upkeep/operations.ts'
import { refuseForeign, type Taking, takeOwnership } from '../../upkeep/own/ownership.ts'
import { markClean, takePlace } from '../../upkeep/own/place.ts'
import { openReadOnlySwitch, type ReadOnlySwitch } from '../../upkeep/read-only.ts'
import { recover } from '../../upkeep/recover.ts'
import { isOutOfSpace, type SpaceWatch, tellingWhenFull, watchSpace } from '../../upkeep/space.ts'
import type { Settings } from '../config/settings.ts'
import type { Logger } from '../log.ts'
import { type CatchUp, createCatchUp } from './catch-up.ts'
import { createOperations } from './operations.ts'

export interface Surroundings {
  readonly log: Logger
  /** Nothing can be promised any more: the process must end. */
  readonly onFatal: (error: unknown) => void
}

export interface Store {
  readonly root: string
  readonly parts: LocalParts
  readonly adopter: Adopter
  readonly adopterParts: AdopterParts
  readonly catchUp: CatchUp
  readonly collector: Collector
  readonly operations: Operations
  readonly space: SpaceWatch
  readonly readOnly: ReadOnlySwitch
  /** Settles what is owed and lets go of everything. */
  close(): Promise<void>
}

export async function openStore(settings: Settings, surroundings: Surroundings, taking: Taking = {}): Promise<Store> {
  const { log } = surroundings
  const root = rootOf(settings)
  const driver = await openDriver(settings, root)
  // Before anything is written: what belongs to another registry stays as it is.
  await refuseForeign(driver)
  const lock = lockRoot(root)
  let space: SpaceWatch | undefined
  let facts: Facts | undefined
  const letGo = async () => {
    await space?.close()
    await facts?.close()
    await driver.close()
    lock.release()
  }
  try {
    await driver.sweep()
    space = await openSpace(settings, driver, log)
    facts = tellingWhenFull(await openFacts(settings, root, surroundings, space), space)
    await takeOwnership(driver, facts, taking)
    const notWritten = (error: unknown, key: string) =>
      log.error({ err: error, key }, 'a link file could not be written: it stays owed')
    const settler = createSettler({ facts, driver, locks: createInProcessLocks(), onError: notWritten })
    await takePlace({ driver, facts, settler })
    const readOnly = await openReadOnlySwitch(facts, settings.storage.maintenance.readOnly.enabled)
    const { parts, adopter, adopterParts } = await openParts(settings, driver, facts, space, log)
    const recovered = await recover({ ...parts, onError: collectorError(log) })
    if (Object.values(recovered).some((count) => count > 0)) log.info(recovered, 'recovered unfinished pushes')
    const collector = createCollector({ ...parts, onError: collectorError(log) })
    const catchUp = createCatchUp(parts, adopterParts, adopter)
    const operations = createOperations({ root, parts, adopter, catchUp, collector, readOnly, space })
    const close = async () => {
      await comeToRest(parts, log)
      await letGo()
    }
    return { root, parts, adopter, adopterParts, catchUp, collector, operations, space, readOnly, close }
  } catch (error) {
    await letGo()
    throw error
  }
}

/** A failure here is one more thing that the next start finds. */
async function comeToRest({ settler, facts }: LocalParts, log: Logger): Promise<void> {
  try {
    await settler.settleAll()
    if ((await facts.read.owed.count()) === 0) await markClean({ facts })
  } catch (error) {
    log.error({ err: error }, 'what was owed could not be settled: the next start does it')
  }
}

function collectorError(log: Logger) {
  return (error: unknown, what: string) => log.error({ err: error, what }, 'could not be collected: it is tried again')
}

function rootOf({ storage }: Settings): string {
  return storage.driver.name === 'filesystem' ? storage.driver.root : fs.mkdtempSync(join(tmpdir(), 'berth-'))
}

async function openDriver({ storage }: Settings, root: string): Promise<StorageDriver> {
  switch (storage.driver.name) {
    case 'inmemory': {
      const { MemoryDriver } = await import('../../storage/drivers/memory.ts')
      return new MemoryDriver()
    }
    case 'filesystem': {
      const { FilesystemDriver } = await import('../../storage/drivers/filesystem/filesystem.ts')
      return new FilesystemDriver(root)
    }
  }
}

function openSpace({ storage }: Settings, driver: StorageDriver, log: Logger): Promise<SpaceWatch> {
  return watchSpace({
    driver,
    reserve: storage.maintenance.reserve,
    onChange: ({ low, free, reserve }) => {
      if (low) log.warn({ free, reserve }, 'the volume is nearly full: pushes are refused until there is room again')
      else log.info({ free, reserve }, 'there is room again: pushes are taken')
    },
    onError: (error) => log.error({ err: error }, 'the room that is left could not be looked at'),
  })
}

function openFacts(
  { metadata }: Settings,
  root: string,
  { log, onFatal }: Surroundings,
  space: SpaceWatch,
): Promise<Facts> {
  return openSqliteFacts({
    path: metadata.sqlite.path ?? join(root, layout.database),
    onLargeWal: (bytes) => log.warn({ bytes }, 'the database log is large: something keeps it from being merged'),
    onMergeFailed: (reason) => {
      space.full()
      log.warn({ reason }, 'the database log could not be merged: nothing is lost, and it is tried again')
    },
    onFatal,
  })
}

async function openParts(
  { validation, collector, storage }: Settings,
  driver: StorageDriver,
  facts: Facts,
  space: SpaceWatch,
  log: Logger,
): Promise<Pick<Store, 'parts' | 'adopter' | 'adopterParts'>> {
  const locks = createInProcessLocks()
  const onError = (error: unknown, key: string) => {
    if (isOutOfSpace(error)) space.full()
    log.error({ err: error, key }, 'a link file could not be written: it stays owed')
  }
  const unadopted = {
    facts,
    driver,
    locks,
    settler: createSettler({ facts, driver, locks, onError }),
    blobs: createBlobStore(driver),
    hashes: createLiveHashes(),
    clock: Date.now,
    graceMs: collector.graceMs,
    trashMs: collector.trashMs,
    sparse: validation.manifests.sparse === 'allow',
    onDamage: (key: string, reason: string) =>
      log.error({ key, reason }, 'a stored object is damaged: push it again to heal it'),
  }
  const { uploadPurging } = storage.maintenance
  const adopterParts: AdopterParts = {
    ...unadopted,
    ...(uploadPurging.enabled && !uploadPurging.dryRun && { uploadAgeMs: uploadPurging.ageMs }),
    told: (figures, message) => log.info(figures, message),
    onError: (error, what) => log.error({ err: error, what }, 'could not be read: it is tried again'),
  }
  const adopter = await createAdopter(adopterParts)
  return { parts: { ...unadopted, adoption: adopter }, adopter, adopterParts }
}
