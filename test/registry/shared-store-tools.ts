/** Nodes that share a bucket and a database, and a clock that a test turns on. */
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInProcessLocks } from '../../coordination/in-process.ts'
import type { Facts } from '../../metadata/facts.ts'
import { openSqliteFacts } from '../../metadata/sqlite.ts'
import { type Digest, digestOf } from '../../oci/digest.ts'
import type { UploadId } from '../../oci/name.ts'
import { allAdopted } from '../../registry/adoption.ts'
import { createLiveHashes } from '../../registry/live-hashes.ts'
import { createRegistry } from '../../registry/local.ts'
import type { LocalParts } from '../../registry/local-parts.ts'
import type { Chunk, Repository } from '../../registry/registry.ts'
import { createSettler, type Settler } from '../../registry/settle.ts'
import { createBlobStore } from '../../storage/blob-store.ts'
import type { S3Driver } from '../../storage/drivers/s3/s3-driver.ts'
import type { S3Settings } from '../../storage/drivers/s3/settings.ts'
import { layout } from '../../storage/layout.ts'
import { createCollector } from '../../upkeep/collect/collect.ts'
import type { CollectReport } from '../../upkeep/operations.ts'
import { repositoryOf } from '../contracts/registry-tools.ts'
import { randomBytes } from '../contracts/storage-tools.ts'
import { driverOn, mebibyte } from '../storage/s3-tools.ts'
import { type FakeS3, startFakeS3 } from '../support/s3-fake/s3-fake.ts'

export const hour = 60 * 60_000
export const nothing = new Uint8Array()
/** One object, placed where it belongs as soon as it has arrived. */
export const small = randomBytes(100_000)
/** More than one part. */
export const parted = randomBytes(11 * mebibyte)
/** Copied to its place after the commit, and not within it. */
export const large = randomBytes(65 * mebibyte)

export interface Node {
  readonly parts: LocalParts
  readonly repository: Repository
  /** What could not be done in the background. */
  readonly failed: readonly string[]
  readonly damaged: readonly string[]
}

export interface SharedStore {
  readonly s3: FakeS3
  readonly facts: Facts
  driver(settings?: Partial<S3Settings>): Promise<S3Driver>
  /** Without `locks`, one that cannot hear of the others just now. */
  node(changes?: Partial<LocalParts>): Promise<Node>
  /** Milliseconds since 1970, as the nodes believe. */
  now(): number
  pass(ms: number): void
  /** What lies under the digest. */
  object(digest: Digest): Buffer | undefined
}

export async function withStore(work: (store: SharedStore) => Promise<void>): Promise<void> {
  const folder = fs.mkdtempSync(join(tmpdir(), 'berth-shared-'))
  const onFatal = (error: Error) => {
    throw error
  }
  const s3 = await startFakeS3()
  const facts = await openSqliteFacts({ path: join(folder, 'berth.db'), onLargeWal: () => {}, onFatal })
  const opened: S3Driver[] = []
  let offset = 0
  const now = () => Date.now() + offset

  async function driver(settings: Partial<S3Settings> = {}): Promise<S3Driver> {
    const one = await driverOn(s3, { chunkSize: 5 * mebibyte, ...settings })
    opened.push(one)
    return one
  }

  const store: SharedStore = {
    s3,
    facts,
    driver,
    now,
    node: async (changes = {}) =>
      assemble({ facts, clock: now, ...changes, driver: changes.driver ?? (await driver()) }),
    pass(ms) {
      offset += ms
    },
    object: (digest) => s3.content(layout.blob(digest)),
  }
  try {
    await work(store)
  } finally {
    for (const each of opened) await each.close()
    await facts.close()
    await s3.stop()
    fs.rmSync(folder, { recursive: true })
  }
}

type Given = Partial<LocalParts> & Pick<LocalParts, 'facts' | 'driver' | 'clock'>

function assemble(given: Given): Node {
  const [failed, damaged]: [string[], string[]] = [[], []]
  const { facts, driver, clock, locks = createInProcessLocks() } = given
  const onError = (error: unknown, key: string) => void failed.push(`${key}: ${error}`)
  const parts: LocalParts = {
    settler: createSettler({ facts, driver, locks, clock, onError }),
    blobs: createBlobStore(driver),
    hashes: createLiveHashes(),
    graceMs: 1000,
    trashMs: 0,
    adoption: allAdopted,
    sparse: false,
    onDamage: (key) => void damaged.push(key),
    ...given,
    locks,
  }
  return { parts, repository: repositoryOf(createRegistry(parts), 'a/b'), failed, damaged }
}

/** Start and one request with all bytes; returns the upload, which has not been closed yet. */
export async function uploaded({ repository: { uploads } }: Node, ...pieces: readonly Chunk[]): Promise<UploadId> {
  const { id } = await uploads.start()
  for (const piece of pieces) await uploads.append(id, piece)
  return id
}

/** All that is due, however much that is. */
export async function collect({ parts }: Node, settler: Settler = parts.settler): Promise<CollectReport> {
  const onError = (error: unknown) => {
    throw error
  }
  const collector = createCollector({ ...parts, settler, onError })
  return collector.run({ confirmed: true, named: 10 }, () => {})
}

/** The bytes were pushed and deleted, and nobody remembers the push: a collector may take them. */
export async function leaveUnused(store: SharedStore, { repository }: Node, digest: Digest): Promise<void> {
  await repository.blobs.delete(digest)
  store.pass(3 * hour)
  await store.facts.write(async (changed) => {
    for (const row of await changed.uploads.idle('finished', Number.MAX_SAFE_INTEGER, 10)) {
      await changed.uploads.remove(row.id)
    }
  })
}

/** The first transaction that would make a blob readable is refused. */
export function failingOnce(facts: Facts): Facts {
  let isFailing = true
  const write: Facts['write'] = (work, options) => {
    if (!isFailing || typeof options?.touches !== 'object') return facts.write(work, options)
    isFailing = false
    return Promise.reject(new Error('the database is away'))
  }
  return { ...facts, write }
}

/** Calls of one method are held up from the first on, until `open`; `reached` resolves with the first. */
export interface Gate {
  readonly reached: Promise<void>
  open(): void
  pass(): Promise<void>
}

export function createGate(): Gate {
  const [reached, opened] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  return {
    reached: reached.promise,
    open: opened.resolve,
    pass() {
      reached.resolve()
      return opened.promise
    },
  }
}

export const digests = { small: digestOf(small), parted: digestOf(parted), large: digestOf(large) }
