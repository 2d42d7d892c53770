/**
 * Everything under `blobs/`, compared with what is known to be stored: bytes that no row names get one, and the collector
 * is asked to look at what nothing uses; rows whose bytes are gone go too, or are marked. In portions of one 256th, each
 * of which is remembered when it is done.
 */
import type { FactQueries } from '../../metadata/facts.ts'
import type { StoredBlob } from '../../metadata/facts-upkeep.ts'
import type { DamageKind } from '../../metadata/schema.ts'
import { type Digest, parseDigest } from '../../oci/digest.ts'
import type { Child, ObjectInfo, ObjectKey, Objects } from '../../storage/driver.ts'
import { layout } from '../../storage/layout.ts'
import { emptiness, orLost } from './content.ts'
import type { AdopterParts } from './parts.ts'
import { readCursor, saveCursor } from './phase.ts'
import { createPortions, mapSlices, othersTurn, type Portions } from './portions.ts'

const algorithms = ['sha256', 'sha512'] as const
const pageSize = 500
/** A claim that ends in the transaction that makes it. */
const claimMs = 1

export interface WalkedBlobs {
  /** Had no row. */
  readonly unknown: number
  /** Had a row, and are not there. */
  readonly missing: number
}

type Counts = { -readonly [Key in keyof WalkedBlobs]: number }

export async function adoptBlobs(
  parts: AdopterParts,
  signal: AbortSignal,
  tell: (blobs: number) => void,
): Promise<WalkedBlobs> {
  const counts: Counts = { unknown: 0, missing: 0 }
  const portions = createPortions(parts.facts)
  const walk = createWalk(parts, portions, counts)
  const after = await readCursor(parts.facts.read.store)
  const all = algorithms.flatMap((algorithm) => prefixes().map((prefix) => `${algorithm}/${prefix}`))
  await walk.lookAround()
  let seen = 0
  for (const portion of all) {
    signal.throwIfAborted()
    if (portion <= after) continue
    seen += await walk.portion(portion, signal)
    await portions.add((changed) => saveCursor(changed.store, portion))
    await portions.flush()
    tell(seen)
    await othersTurn()
  }
  return counts
}

function prefixes(): string[] {
  return Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, '0'))
}

function createWalk(parts: AdopterParts, portions: Portions, counts: Counts) {
  const { facts, driver, clock, graceMs, onDamage } = parts

  async function damage(kind: DamageKind, key: ObjectKey, detail: string, digest?: Digest): Promise<void> {
    onDamage(key, detail)
    const found = { key, kind, repository: '', detail, foundAt: clock() } as const
    await portions.add((changed) => changed.damages.add(digest ? { ...found, digest } : found))
  }

  /** What is no portion at all. */
  async function lookAround(): Promise<void> {
    for await (const child of driver.children(layout.blobs)) {
      const key = `${layout.blobs}/${child.name}` as ObjectKey
      if (child.kind !== 'folder' || !algorithms.some((each) => each === child.name)) {
        await damage('stray', key, 'stands where only folders of sha256 and sha512 may be')
        continue
      }
      const children = await orLost(childrenOf(driver, key))
      if (typeof children === 'string') await damage('content', key, children)
      else
        for (const below of children) {
          if (below.kind === 'folder' && /^[0-9a-f]{2}$/.test(below.name)) continue
          await damage('stray', `${key}/${below.name}` as ObjectKey, 'stands where only folders 00 to ff may be')
        }
    }
  }

  /** Returns how many blobs are there. */
  async function portion(portion: string, signal: AbortSignal): Promise<number> {
    const found = await digestsIn(portion)
    if (!found) return 0
    const stored = found.size
    // Asked after storage: what is pushed meanwhile has a row, and is looked for again.
    for await (const rows of pagesOf(portion)) {
      signal.throwIfAborted()
      const gone: StoredBlob[] = []
      for (const row of rows) {
        if (!found.delete(row.digest)) gone.push(row)
        else await reviewIfUnused(row.digest)
      }
      for (const row of gone) await takeGone(row)
      await othersTurn()
    }
    const unknown = [...found]
    for (let start = 0; start < unknown.length; start += pageSize) {
      signal.throwIfAborted()
      const batch = unknown.slice(start, start + pageSize)
      const look = async (digest: Digest) => ({ digest, info: await orLost(driver.stat(layout.blob(digest))) })
      for (const { digest, info } of await mapSlices(batch, look)) if (info) await takeUnknown(digest, info)
    }
    return stored
  }

  /** Nothing where the disk has lost the folder: then none of its bytes can be said to be gone. */
  async function digestsIn(portion: string): Promise<Set<Digest> | undefined> {
    const folder = `${layout.blobs}/${portion}` as ObjectKey
    const algorithm = portion.slice(0, portion.indexOf('/'))
    const digests = new Set<Digest>()
    const children = await orLost(childrenOf(driver, folder))
    if (typeof children === 'string') {
      await damage('content', folder, children)
      return undefined
    }
    for (const child of children) {
      const digest = child.kind === 'folder' && parseDigest(`${algorithm}:${child.name}`)
      const key = `${folder}/${child.name}` as ObjectKey
      if (digest && layout.blob(digest).startsWith(`${key}/`)) digests.add(digest)
      else await damage('stray', key, 'stands where only folders of digests may be')
    }
    return digests
  }

  async function* pagesOf(portion: string): AsyncIterable<StoredBlob[]> {
    const prefix = portion.replace('/', ':')
    for (let after: string = prefix; ; ) {
      const page = await facts.read.collection.page(after, pageSize)
      const rows = page.filter((row) => row.digest.startsWith(prefix))
      const last = rows.at(-1)
      if (!last) return
      yield rows
      if (rows.length < pageSize) return
      after = last.digest
    }
  }

  async function reviewIfUnused(digest: Digest): Promise<void> {
    if (await facts.read.collection.isUsed(digest)) return
    await portions.add((changed) => review(changed, digest, clock() + graceMs))
  }

  async function takeGone({ digest, storedAt }: StoredBlob): Promise<void> {
    const key = (storedAt as ObjectKey | undefined) ?? layout.blob(digest)
    const info = await orLost(driver.stat(key))
    if (typeof info === 'string') return damage('content', key, info, digest)
    if (info) return reviewIfUnused(digest)
    counts.missing++
    const detail = 'is missing'
    const isUsed = await facts.write(
      async (changed) => {
        const now = clock()
        const row = await changed.collection.find(digest)
        // A collector that has claimed it is just taking it away.
        if (!row || row.condemnedUntil !== undefined) return false
        if (await changed.collection.condemn(digest, now + claimMs, now)) {
          await changed.collection.forget(digest, now + claimMs)
          return false
        }
        await changed.collection.markDamaged(digest, now)
        await changed.damages.add({ key, kind: 'content', repository: '', digest, detail, foundAt: now })
        return true
      },
      { durable: false },
    )
    if (isUsed) onDamage(key, detail)
  }

  async function takeUnknown(digest: Digest, info: ObjectInfo | string): Promise<void> {
    if (typeof info === 'string') return damage('content', layout.blob(digest), info, digest)
    const { size, modifiedAt } = info
    const wrong = emptiness(digest, size)
    if (wrong !== undefined) return damage('content', layout.blob(digest), `${wrong}, and nothing names it`, digest)
    counts.unknown++
    await portions.add(async (changed) => {
      // It may have been pushed since.
      if (await changed.collection.find(digest)) return
      await changed.blobs.add(digest, size, modifiedAt)
      await review(changed, digest, Math.max(clock(), modifiedAt + graceMs))
    }, 2)
  }

  return { lookAround, portion }
}

async function childrenOf(objects: Objects, folder: ObjectKey): Promise<readonly Child[]> {
  const children: Child[] = []
  for await (const child of objects.children(folder)) children.push(child)
  return children
}

function review(changed: FactQueries, digest: Digest, due: number): Promise<void> {
  return changed.reviews.add({ kind: 'blob', repositoryId: 0, digest, due, reason: 'unknown' })
}
