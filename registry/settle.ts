/**
 * Keeping storage equal to SQL. A change of facts names, in its own transaction, the link files that may differ from
 * then on (`owed`). Settling one: take its lock, read the fact as it is *now*, write or delete the file. The row goes
 * only after a later, shared flush, so a link file needs no fsync of its own and a power cut is repaired at the start.
 *
 * ```
 * transaction: fact + owed(key, v) ──► settle: fact now ──► link file ──► ... flush ──► delete owed where version = v
 * ```
 *
 * A settle that fails never fails a request: the row stays and upkeep tries again.
 */
import { randomInt } from 'node:crypto'
import type { Locks } from '../coordination/locks.ts'
import type { FactQueries, Facts } from '../metadata/facts.ts'
import type { TrashRow } from '../metadata/facts-upkeep.ts'
import type { Digest } from '../oci/digest.ts'
import type { RepositoryName, Tag } from '../oci/name.ts'
import type { ObjectKey, StorageDriver } from '../storage/driver.ts'
import { type LinkFact, layout, parseLinkKey } from '../storage/layout.ts'

const clearBatch = 1000
/** A delete may owe thousands of keys: whoever waits for it waits for these, and upkeep settles the rest. */
const settledAtOnce = 64
/** As many are worked on before everybody else has their turn. */
const sliceLength = 16

export interface Settler {
  /** Settles keys right away, but not very many: the rest stays owed. Never rejects. */
  settle(keys: readonly ObjectKey[]): Promise<void>
  /** Makes what was settled durable and clears what was owed for it. */
  clear(): Promise<void>
  /** Settles everything that is owed, whoever left it; returns how many keys there were. */
  settleAll(): Promise<number>
}

export interface SettleParts {
  readonly facts: Facts
  readonly driver: StorageDriver
  readonly locks: Locks
  readonly onError: (error: unknown, key: string) => void
}

/** Names a key as owed, inside the transaction that changes its fact. What was wrong there is written anew. */
export async function owe(facts: FactQueries, keys: readonly ObjectKey[], now: number): Promise<void> {
  // Any other number than before says "changed since": versions need no order, only to differ.
  for (const key of keys) await facts.owed.add(key, randomInt(2 ** 47), now)
  if (await facts.damages.any()) for (const key of keys) await facts.damages.remove(key)
}

export function createSettler({ facts, driver, locks, onError }: SettleParts): Settler {
  /** Settled, but not yet durable: key to the version that was settled. */
  let unflushed = new Map<ObjectKey, number>()
  /**
   * Settled, and still owed. A version is written once: written again beside a flush it would be cleared as if that flush
   * had been for it.
   */
  const settled = new Map<ObjectKey, number>()

  async function settleOne(key: ObjectKey): Promise<void> {
    try {
      await locks.hold(`owed/${key}`, { when: 'wait' }, async () => {
        const owed = await facts.read.owed.find(key)
        if (!owed || settled.get(key) === owed.version) return
        const fact = parseLinkKey(key)
        // There the file is the truth, and SQL does not know it yet.
        if (fact && (await isUnadopted(facts.read, fact))) return
        const content = fact && (await linkContent(facts.read, fact))
        if (content) await driver.write(key, Buffer.from(content), { durable: false })
        else await driver.delete(key, { durable: false })
        settled.set(key, owed.version)
        unflushed.set(key, owed.version)
      })
    } catch (error) {
      onError(error, key)
    }
  }

  async function settleSlices(keys: readonly ObjectKey[]): Promise<void> {
    for (let start = 0; start < keys.length; start += sliceLength) {
      if (start > 0) await othersTurn()
      await Promise.all(keys.slice(start, start + sliceLength).map(settleOne))
    }
  }

  async function clear(): Promise<void> {
    const written = [...unflushed]
    if (written.length === 0) return
    unflushed = new Map()
    try {
      await driver.flush(written.map(([key]) => key))
      for (let start = 0; start < written.length; start += clearBatch) {
        if (start > 0) await othersTurn()
        const batch = written.slice(start, start + clearBatch)
        const clearing = async (changed: FactQueries) => {
          for (const [key, version] of batch) await changed.owed.clear({ key, version })
        }
        await facts.write(clearing, { durable: false })
      }
    } finally {
      // What could not be cleared is owed, and written again.
      for (const [key, version] of written) if (settled.get(key) === version) settled.delete(key)
    }
  }

  return {
    settle: (keys) => settleSlices(keys.slice(0, settledAtOnce)),
    clear,
    async settleAll() {
      let count = 0
      for (let after = ''; ; ) {
        const rows = await facts.read.owed.page(after, clearBatch)
        const last = rows.at(-1)
        if (!last) break
        await settleSlices(rows.map((row) => row.key as ObjectKey))
        await othersTurn()
        count += rows.length
        after = last.key
      }
      await clear()
      return count
    },
  }
}

/** Queries of SQLite end within a turn of the event loop: without this, a long row of them would be a single turn. */
function othersTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

async function isUnadopted(facts: FactQueries, fact: LinkFact): Promise<boolean> {
  return fact.kind !== 'trash' && (await facts.repositories.find(fact.repository))?.state === 'unadopted'
}

/** What a link file holds while its fact is true; nothing where there must be no file. */
export async function linkContent(facts: FactQueries, fact: LinkFact): Promise<string | undefined> {
  if (fact.kind === 'trash') return trashDocument(await facts.trash.find(fact.id))
  const repository = await facts.repositories.find(fact.repository)
  if (!repository) return undefined
  switch (fact.kind) {
    case 'layer':
      return (await facts.blobs.isLinked(repository.id, fact.digest)) ? fact.digest : undefined
    case 'revision':
      return (await facts.manifests.find(fact.repository, fact.digest)) ? fact.digest : undefined
    case 'tagCurrent':
      return facts.tags.digest(repository.id, fact.tag)
    case 'tagIndex':
      return (await facts.tags.hadPointedTo(repository.id, fact.tag, fact.digest)) ? fact.digest : undefined
    case 'mediaType':
      return facts.manifests.declaredType(repository.id, fact.digest)
  }
}

/** What the layout of distribution has no place for: enough to have the entry again without a database. */
function trashDocument(entry: TrashRow | undefined): string | undefined {
  if (!entry) return undefined
  const { repositoryId: _, ...document } = entry
  return `${JSON.stringify({ format: 1, ...document }, undefined, 2)}\n`
}

/** The link files of a tag and of the digests it pointed to. */
export function tagKeys(name: RepositoryName, tag: Tag, history: readonly Digest[]): ObjectKey[] {
  return [layout.tagCurrent(name, tag), ...history.map((digest) => layout.tagIndex(name, tag, digest))]
}
