/**
 * A store over a memory driver whose calls and transactions can be made to fail, and what is true of it. One database
 * serves many stores, one after the other: opening one takes longer than everything that is tried in it.
 */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createInProcessLocks } from '../../coordination/in-process.ts'
import type { Facts } from '../../metadata/facts.ts'
import { openSqliteFacts } from '../../metadata/sqlite.ts'
import type { Digest } from '../../oci/digest.ts'
import { parseUploadId } from '../../oci/name.ts'
import { type Adoption, allAdopted } from '../../registry/adoption.ts'
import { createLiveHashes } from '../../registry/live-hashes.ts'
import { createRegistry } from '../../registry/local.ts'
import type { LocalParts } from '../../registry/local-parts.ts'
import type { Repository } from '../../registry/registry.ts'
import { createSettler } from '../../registry/settle.ts'
import { createBlobStore } from '../../storage/blob-store.ts'
import type { StorageDriver } from '../../storage/driver.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { layout } from '../../storage/layout.ts'
import { recover } from '../../upkeep/recover.ts'
import { createVerifier } from '../../upkeep/verify/verify.ts'
import { nameOf } from '../contracts/facts-tools.ts'
import { caller } from '../contracts/push.ts'
import { readBack } from '../contracts/storage-tools.ts'
import { fastScratch } from '../crash-model/tracing.ts'
import { type FaultyDriver, faultyDriver } from './faulty-driver.ts'

/** One process that serves the store. */
export interface Process {
  readonly parts: LocalParts & { readonly onError: (error: unknown) => void }
  repository(name: string, adoption?: Adoption): Repository
  /** What failed and was left to be tried again. */
  readonly errors: readonly unknown[]
}

export interface World {
  readonly faults: FaultyDriver
  /** Never fails. */
  readonly memory: StorageDriver
  readonly facts: Facts
  start(): Process
  /** A fresh start: what was left undone is finished. */
  restart(): Promise<Process>
  wait(ms: number): void
  /** From here on nothing is known but what storage says. */
  loseDatabase(): void
}

export interface WorldOptions {
  readonly graceMs?: number
  readonly trashMs?: number
}

export interface Database {
  /** A store that holds nothing yet. The one before must not be used any more. */
  newWorld(options?: WorldOptions): World
  close(): Promise<void>
}

export async function openDatabase(): Promise<Database> {
  const folder = fastScratch()
  const path = join(folder, 'berth.db')
  const onFatal = (error: Error) => {
    throw error
  }
  const facts = await openSqliteFacts({ path, onLargeWal: () => {}, onFatal })
  const beside = new DatabaseSync(path, { enableForeignKeyConstraints: false, timeout: 5000 })
  return {
    newWorld(options = {}) {
      clear(beside)
      return worldOver(facts, () => clear(beside), options)
    },
    async close() {
      beside.close()
      await facts.close()
      fs.rmSync(folder, { recursive: true })
    },
  }
}

function clear(database: DatabaseSync): void {
  const tables = database
    .prepare(
      "select name from sqlite_schema where type = 'table' and name not like 'sqlite_%' and name <> 'migrations'",
    )
    .all() as { name: string }[]
  database.exec(`begin immediate; ${tables.map(({ name }) => `delete from ${name};`).join('')} commit`)
}

function worldOver(facts: Facts, loseDatabase: () => void, options: WorldOptions): World {
  let now = Date.UTC(2026, 0, 1)
  const clock = () => now
  const memory = new MemoryDriver(clock)
  const faults = faultyDriver(memory)
  const failing = faults.facts(facts)
  const surroundings = { graceMs: 86_400_000, trashMs: 604_800_000, ...options, clock, sparse: false }

  function start(): Process {
    const errors: unknown[] = []
    const onError = (error: unknown) => void errors.push(error)
    const { driver } = faults
    const locks = createInProcessLocks()
    const parts = {
      ...surroundings,
      facts: failing,
      driver,
      locks,
      settler: createSettler({ facts: failing, driver, locks, onError }),
      blobs: createBlobStore(driver),
      hashes: createLiveHashes(),
      adoption: allAdopted,
      onDamage: () => {},
      onError,
    }
    return {
      parts,
      errors,
      repository: (name, adoption = allAdopted) =>
        createRegistry({ ...parts, adoption }).repository(nameOf(name), caller),
    }
  }

  return {
    faults,
    memory,
    facts,
    start,
    loseDatabase,
    async restart() {
      const process = start()
      await recover(process.parts)
      await process.parts.settler.settleAll()
      return process
    },
    wait: (ms) => {
      now += ms
    },
  }
}

/** What a store says of itself, as text that can be compared. */
export async function describeFacts({ facts }: World): Promise<string> {
  const lines: string[] = []
  for (const name of await facts.read.repositories.page('', 100)) {
    const { id, state } = (await facts.read.repositories.find(name))!
    const tags = await facts.read.tags.page(id, '', 100)
    lines.push(`${name} ${state}`)
    for (const tag of tags) lines.push(`${name} tag ${tag} ${await facts.read.tags.digest(id, tag)}`)
    for (const { digest } of await facts.read.adoption.revisions(id, '', 100)) lines.push(`${name} manifest ${digest}`)
    for (const digest of await facts.read.adoption.layers(id, '', 100)) {
      lines.push(`${name} layer ${digest}`)
    }
  }
  for (const { kind, repository, digest, tags } of await facts.read.trash.page(undefined, Infinity, 100)) {
    lines.push(`trash ${kind} ${repository} ${digest} ${tags}`)
  }
  return lines.sort().join('\n')
}

/** Every object in storage and what it holds, by its length where that is long; what is named at random gets one name. */
export async function describeStorage({ memory }: World): Promise<string[]> {
  const lines: string[] = []
  for (const prefix of [layout.blobs, layout.repositories, layout.mediaTypes, layout.uploads, layout.trashes]) {
    for await (const { key, size } of memory.list(prefix)) {
      const content = size < 100 ? await readBack(memory, key) : size
      lines.push(`${key} ${content}`.replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<id>'))
    }
  }
  return lines.sort()
}

/** No tag leads to nothing, no manifest lacks anything, no row lacks its bytes. */
export async function isWhole(world: World, { parts }: Pick<Process, 'parts'>): Promise<void> {
  const { facts } = world
  const { read } = facts
  for (const name of await read.repositories.page('', 100)) {
    const repository = createRegistry(parts).repository(name, caller)
    const { id, state } = (await read.repositories.find(name))!
    // Storage is its truth, and nobody is told what SQL has of it.
    if (state === 'unadopted') continue
    for (const tag of await read.tags.page(id, '', 100)) await repository.manifests.get({ tag })
    for (const { digest } of await read.adoption.revisions(id, '', 100)) {
      await repository.manifests.get({ digest })
      for (const child of await read.manifests.references(id, digest)) {
        const isManifest = await read.manifests.find(name, child)
        if (!isManifest) assert.ok(await read.blobs.sizeIn(name, child), `${name} lost ${child} of ${digest}`)
      }
    }
    for (const digest of await read.adoption.layers(id, '', 100)) {
      assert.ok(await read.collection.find(digest), `${name} may read ${digest}, which nobody knows`)
    }
  }
  for (const { digest, size, condemnedUntil } of await read.collection.page('', 100)) {
    if (condemnedUntil !== undefined) continue
    const blobs = createBlobStore(world.memory)
    assert.equal((await blobs.readSmall(digest))?.length, size, `the bytes of ${digest}`)
  }
}

/** A start leaves nothing half done. */
export async function isFinished({ facts }: World): Promise<void> {
  assert.deepEqual(await facts.read.collection.condemned(10), [])
  assert.deepEqual(await facts.read.uploads.idle('committing', Infinity, 10), [])
  assert.equal(await facts.read.owed.count(), 0)
}

/** Nothing lies in storage that no row names. */
export async function nothingIsStray({ facts, memory }: World): Promise<void> {
  for await (const { key } of memory.list(layout.blobs)) {
    const [, , , , algorithm, , hex] = key.split('/')
    assert.ok(await facts.read.collection.find(`${algorithm}:${hex}` as Digest), `nobody knows ${key}`)
  }
  for await (const { key } of memory.list(layout.uploads)) {
    const id = parseUploadId(key.slice(layout.uploads.length + 1))
    assert.ok(id && (await facts.read.uploads.find(id)), `nobody knows ${key}`)
  }
}

/** Nothing that `verify` would tell. */
export async function isClean({ faults }: World, process: Process): Promise<void> {
  faults.disarm()
  const { findings } = await createVerifier(process.parts).verify({ fresh: true }, () => {})
  assert.deepEqual(findings, [])
}
