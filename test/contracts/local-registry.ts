/** The registry of this node without HTTP: SQLite facts in a folder of their own, over any driver. */
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInProcessLocks } from '../../coordination/in-process.ts'
import type { Facts } from '../../metadata/facts.ts'
import { openSqliteFacts } from '../../metadata/sqlite.ts'
import { allAdopted } from '../../registry/adoption.ts'
import { createLiveHashes } from '../../registry/live-hashes.ts'
import { createRegistry } from '../../registry/local.ts'
import type { LocalParts } from '../../registry/local-parts.ts'
import type { Registry, Repository } from '../../registry/registry.ts'
import { createSettler } from '../../registry/settle.ts'
import { createBlobStore } from '../../storage/blob-store.ts'
import type { StorageDriver } from '../../storage/driver.ts'
import { nameOf } from './facts-tools.ts'
import { caller } from './push.ts'

export interface LocalRegistry {
  readonly registry: Registry
  readonly parts: LocalParts
  /** Keys that could not be settled. */
  readonly unsettled: readonly string[]
  /** Keys whose bytes were found damaged. */
  readonly damaged: readonly string[]
  repository(name: string, identity?: string): Repository
  /** What a new process, or a second one beside this, makes of the same store. */
  again(driver?: StorageDriver): LocalRegistry
  close(): Promise<void>
}

export type LocalChanges = Partial<Pick<LocalParts, 'clock' | 'graceMs' | 'trashMs' | 'sparse'>>

export async function openLocal(driver: StorageDriver, changes: LocalChanges = {}): Promise<LocalRegistry> {
  const folder = fs.mkdtempSync(join(tmpdir(), 'berth-registry-'))
  const onFatal = (error: Error) => {
    throw error
  }
  const facts = await openSqliteFacts({ path: join(folder, 'berth.db'), onLargeWal: () => {}, onFatal })
  const close = async () => {
    await facts.close()
    fs.rmSync(folder, { recursive: true })
  }
  return assemble(driver, facts, changes, close)
}

function assemble(
  driver: StorageDriver,
  facts: Facts,
  changes: LocalChanges,
  close: () => Promise<void>,
): LocalRegistry {
  const [unsettled, damaged]: [string[], string[]] = [[], []]
  const locks = createInProcessLocks()
  const parts: LocalParts = {
    facts,
    driver,
    locks,
    settler: createSettler({ facts, driver, locks, onError: (_, key) => void unsettled.push(key) }),
    blobs: createBlobStore(driver),
    hashes: createLiveHashes(),
    clock: Date.now,
    graceMs: 86_400_000,
    trashMs: 604_800_000,
    adoption: allAdopted,
    sparse: false,
    onDamage: (key) => void damaged.push(key),
    ...changes,
  }
  const registry = createRegistry(parts)
  return {
    registry,
    parts,
    unsettled,
    damaged,
    repository: (name, identity) =>
      registry.repository(nameOf(name), identity === undefined ? caller : { ...caller, identity }),
    again: (other = driver) => assemble(other, facts, changes, close),
    close,
  }
}
