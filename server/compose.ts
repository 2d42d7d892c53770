/**
 * The architecture on one screen, and the only file that picks concrete parts. Each `open…` is one choice that the
 * configuration makes; a part is imported only when it is chosen.
 */
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AccessController, openAccess } from '../auth/access.ts'
import { createInProcessLocks } from '../coordination/in-process.ts'
import type { Facts } from '../metadata/facts.ts'
import { openSqliteFacts } from '../metadata/sqlite.ts'
import { createLiveHashes } from '../registry/live-hashes.ts'
import { createRegistry } from '../registry/local.ts'
import type { LocalParts } from '../registry/local-parts.ts'
import { createSettler } from '../registry/settle.ts'
import { createBlobStore } from '../storage/blob-store.ts'
import type { StorageDriver } from '../storage/driver.ts'
import { layout } from '../storage/layout.ts'
import { lockRoot, type RootLock } from '../storage/root-lock.ts'
import { createDuties } from '../upkeep/duties.ts'
import { refuseForeign, takeOwnership } from '../upkeep/ownership.ts'
import { recover } from '../upkeep/recover.ts'
import { startUpkeep } from '../upkeep/upkeep.ts'
import { createApp } from './app.ts'
import { clientAddressFrom } from './client-address.ts'
import type { Settings } from './config/settings.ts'
import type { Behaviour } from './exchange.ts'
import { createHealth, type NodeHealth } from './health.ts'
import { type Logger, openAccessLog } from './log.ts'
import { createProgressWatch } from './progress.ts'

/** How long something that nobody refers to stays. */
const graceMs = 24 * 60 * 60 * 1000

export interface Node {
  readonly app: ReturnType<typeof createApp>
  readonly health: NodeHealth
  /** Settles what is owed and lets go of everything. */
  close(): Promise<void>
}

export interface Surroundings {
  readonly log: Logger
  /** Nothing can be promised any more: the process must end. */
  readonly onFatal: (error: unknown) => void
}

export async function compose(settings: Settings, { log, onFatal }: Surroundings): Promise<Node> {
  const root = rootOf(settings)
  const access = await openAccessController(settings, log)
  const driver = await openDriver(settings, root)
  // Before anything is written: what belongs to another registry stays as it is.
  await refuseForeign(driver)
  const lock = lockRoot(root)
  let facts: Facts | undefined
  try {
    await driver.sweep()
    facts = await openFacts(settings, root, { log, onFatal })
    await takeOwnership(driver, facts)
    const parts = createParts(settings, driver, facts, log)
    const recovered = await recover(parts)
    if (Object.values(recovered).some((count) => count > 0)) log.info(recovered, 'recovered unfinished pushes')
    return assemble(settings, parts, access, lock, log)
  } catch (error) {
    await Promise.all([access.close(), facts?.close()])
    lock.release()
    throw error
  }
}

function rootOf({ storage }: Settings): string {
  return storage.driver.name === 'filesystem' ? storage.driver.root : fs.mkdtempSync(join(tmpdir(), 'berth-'))
}

async function openDriver({ storage }: Settings, root: string): Promise<StorageDriver> {
  switch (storage.driver.name) {
    case 'inmemory': {
      const { MemoryDriver } = await import('../storage/drivers/memory.ts')
      return new MemoryDriver()
    }
    case 'filesystem': {
      const { FilesystemDriver } = await import('../storage/drivers/filesystem/filesystem.ts')
      return new FilesystemDriver(root)
    }
  }
}

function openFacts({ metadata }: Settings, root: string, { log, onFatal }: Surroundings): Promise<Facts> {
  return openSqliteFacts({
    path: metadata.sqlite.path ?? join(root, layout.database),
    onLargeWal: (bytes) => log.warn({ bytes }, 'the database log is large: something keeps it from being merged'),
    onMergeFailed: (reason) =>
      log.warn({ reason }, 'the database log could not be merged: nothing is lost, and it is tried again'),
    onFatal,
  })
}

async function openAccessController({ auth }: Settings, log: Logger): Promise<AccessController> {
  if (auth.type === 'none') return openAccess()
  const { openHtpasswd } = await import('../auth/htpasswd.ts')
  return openHtpasswd({ realm: auth.realm, path: auth.path, log })
}

function createParts({ validation }: Settings, driver: StorageDriver, facts: Facts, log: Logger): LocalParts {
  const locks = createInProcessLocks()
  const onError = (error: unknown, key: string) =>
    log.error({ err: error, key }, 'a link file could not be written: it stays owed')
  return {
    facts,
    driver,
    locks,
    settler: createSettler({ facts, driver, locks, onError }),
    blobs: createBlobStore(driver),
    hashes: createLiveHashes(),
    clock: Date.now,
    graceMs,
    sparse: validation.manifests.sparse === 'allow',
    onDamage: (key, reason) => log.error({ key, reason }, 'a stored object is damaged: push it again to heal it'),
  }
}

function assemble(settings: Settings, parts: LocalParts, access: AccessController, lock: RootLock, log: Logger): Node {
  const { uploadPurging } = settings.storage.maintenance
  const duties = createDuties(
    { ...parts, tell: (figures, message) => log.info(figures, message) },
    uploadPurging.enabled ? uploadPurging : undefined,
  )
  const upkeep = startUpkeep(duties, (error, duty) => log.error({ err: error, duty }, 'a background duty failed'))
  // What a power cut or a failed write left owed. The registry serves from SQL meanwhile.
  const settling = parts.settler.settleAll().catch((error) => log.error({ err: error }, 'settling failed'))
  const health = createHealth([parts.facts.probe, () => parts.driver.probe()], settings.health.storageDriver)
  const progress = createProgressWatch()
  const accessLog = settings.log.accessLog.disabled ? undefined : openAccessLog(settings.log)
  const app = createApp({
    registry: createRegistry(parts),
    access,
    behaviour: behaviourOf(settings),
    health,
    log,
    accessLog,
    clientAddress: clientAddressFrom(settings.http.trustedProxies),
    progress,
    headers: Object.fromEntries(Object.entries(settings.http.headers).map(([name, values]) => [name, [...values]])),
  })
  return {
    app,
    health,
    async close() {
      await upkeep.stop()
      await settling
      await parts.settler.settleAll()
      await Promise.all([access.close(), parts.facts.close(), parts.driver.close(), accessLog?.close()])
      progress.close()
      health.close()
      lock.release()
    },
  }
}

function behaviourOf({ storage, validation, catalog, tags, http }: Settings): Behaviour {
  return {
    deleteEnabled: storage.delete.enabled,
    readOnly: storage.maintenance.readOnly.enabled,
    maxManifestSize: validation.manifests.maxBytes,
    maxCatalogPage: catalog.maxEntries,
    maxTagPage: tags.maxTags,
    origin: http.relativeUrls ? '' : (http.host ?? ''),
    prefix: http.prefix,
  }
}
