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
import { LockBusy, type Locks } from '../coordination/locks.ts'
import type { FactQueries, Facts, RepositoryRow } from '../metadata/facts.ts'
import type { TrashRow } from '../metadata/facts-upkeep.ts'
import type { Digest } from '../oci/digest.ts'
import type { RepositoryName, Tag } from '../oci/name.ts'
import type { ObjectKey, StorageDriver } from '../storage/driver.ts'
import { type LinkFact, layout, parseBlobKey, parseLinkKey } from '../storage/layout.ts'
import { settleBlob } from './settle-blob.ts'
import { createSettleTurns, type SettleTurns, type Turn } from './settle-turns.ts'

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
  /** Settles every link file that is owed, whoever left it; returns how many keys there were. */
  settleAll(): Promise<number>
  /** Copies bytes to their place that were left where they arrived: they may be many. */
  settleBytes(): Promise<number>
}

export interface SettleParts {
  readonly facts: Facts
  readonly driver: StorageDriver
  readonly locks: Locks
  /** Whoever settles beside this one, and who makes it durable; this one alone, where nothing is said. */
  readonly turns?: SettleTurns
  /** Milliseconds since 1970; this machine's, where nothing is said. */
  readonly clock?: () => number
  readonly onError: (error: unknown, key: string) => void
}

/** Names a key as owed, inside the transaction that changes its fact. What was wrong there is written anew. */
export async function owe(facts: FactQueries, keys: readonly ObjectKey[], now: number): Promise<void> {
  // Any other number than before says "changed since": versions need no order, only to differ.
  for (const key of keys) await facts.owed.add(key, randomInt(2 ** 47), now)
  if (await facts.damages.any()) for (const key of keys) await facts.damages.remove(key)
}

export function createSettler(parts: SettleParts): Settler {
  const { facts, driver, locks, turns = createSettleTurns(locks), clock = Date.now, onError } = parts

  async function settleOne(key: ObjectKey): Promise<void> {
    try {
      await turns.take(key, (turn) => settleInTurn(key, turn))
    } catch (error) {
      // Somebody else is at it, or nodes cannot hear of each other just now: it stays owed, which is no failure.
      if (!(error instanceof LockBusy)) onError(error, key)
    }
  }

  async function settleInTurn(key: ObjectKey, turn: Turn): Promise<number | undefined> {
    const owed = await facts.read.owed.find(key)
    if (!owed || turn.settled === owed.version) return undefined
    const digest = parseBlobKey(key)
    if (digest) await settleBlob({ facts, driver, clock }, digest)
    else if (!(await writeLink(key))) return undefined
    if (!turn.mayBeLost() || (await facts.read.owed.find(key))?.version === owed.version) return owed.version
    // Another may have written what is true now, and this one after it what was true before.
    await facts.write((changed) => owe(changed, [key], clock()), { touches: 'uploads' })
    return undefined
  }

  /** False where the file is the truth, and SQL does not know it yet. */
  async function writeLink(key: ObjectKey): Promise<boolean> {
    const fact = parseLinkKey(key)
    const repository = fact && (await repositoryOf(facts.read, fact))
    if (repository?.state === 'unadopted') return false
    const content = fact && (await contentOf(facts.read, fact, repository))
    if (content) await driver.write(key, Buffer.from(content), { durable: false })
    else await driver.delete(key, { durable: false })
    return true
  }

  async function settleSlices(keys: readonly ObjectKey[]): Promise<void> {
    for (let start = 0; start < keys.length; start += sliceLength) {
      if (start > 0) await othersTurn()
      await Promise.all(keys.slice(start, start + sliceLength).map(settleOne))
    }
  }

  async function clear(): Promise<void> {
    const unflushed = turns.unflushed()
    const written = [...unflushed]
    if (written.length === 0) return
    try {
      await driver.flush(written.map(([key]) => key))
      for (let start = 0; start < written.length; start += clearBatch) {
        if (start > 0) await othersTurn()
        const batch = written.slice(start, start + clearBatch)
        const clearing = async (changed: FactQueries) => {
          for (const [key, version] of batch) await changed.owed.clear({ key, version })
        }
        await facts.write(clearing, { durable: false, touches: 'uploads' })
      }
    } finally {
      turns.flushed(unflushed)
    }
  }

  async function settleOwed(first: string, isWanted: (key: string) => boolean): Promise<number> {
    let count = 0
    for (let after = first; ; ) {
      const rows = await facts.read.owed.page(after, clearBatch)
      const last = rows.at(-1)
      if (!last) break
      const wanted = rows.filter((row) => isWanted(row.key))
      await settleSlices(wanted.map((row) => row.key as ObjectKey))
      await othersTurn()
      count += wanted.length
      if (!last.key.startsWith(first)) break
      after = last.key
    }
    await clear()
    return count
  }

  return {
    // Bytes that must be copied are for upkeep: nobody waits for that.
    settle: (keys) => settleSlices(keys.filter((key) => !parseBlobKey(key)).slice(0, settledAtOnce)),
    clear,
    settleAll: () => settleOwed('', (key) => !parseBlobKey(key)),
    // They stand together, in the order of their keys.
    settleBytes: () => settleOwed(layout.blobs, (key) => parseBlobKey(key) !== undefined),
  }
}

/** Queries of SQLite end within a turn of the event loop: without this, a long row of them would be a single turn. */
function othersTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

async function repositoryOf(facts: FactQueries, fact: LinkFact): Promise<RepositoryRow | undefined> {
  return fact.kind === 'trash' ? undefined : facts.repositories.find(fact.repository)
}

/** What a link file holds while its fact is true; nothing where there must be no file. */
export async function linkContent(facts: FactQueries, fact: LinkFact): Promise<string | undefined> {
  return contentOf(facts, fact, await repositoryOf(facts, fact))
}

async function contentOf(
  facts: FactQueries,
  fact: LinkFact,
  repository: RepositoryRow | undefined,
): Promise<string | undefined> {
  if (fact.kind === 'trash') return trashDocument(await facts.trash.find(fact.id))
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
