/**
 * Bytes that a repository names, as storage has them. Whether they are those of their digest is not looked at, except
 * where their number says that something is wrong: the rest is for verifying to find.
 *
 * A collector may be about to delete them. The rows that use them are written first: after that it cannot claim them any
 * more, and a claim from before is waited for.
 */
import { createHash } from 'node:crypto'
import type { FactQueries } from '../../metadata/facts.ts'
import { algorithmOf, type Digest, emptyDigest, toDigest } from '../../oci/digest.ts'
import type { RepositoryName } from '../../oci/name.ts'
import { handleBytes, whenPardoned } from '../../registry/pardon.ts'
import type { ObjectInfo, ObjectKey } from '../../storage/driver.ts'
import { layout } from '../../storage/layout.ts'
import { lostCode } from '../verify/content.ts'
import type { AdopterParts } from './parts.ts'
import { mapSlices, type Portions } from './portions.ts'
import { unreadable } from './readable.ts'

export type ContentParts = Pick<AdopterParts, 'facts' | 'driver' | 'locks' | 'clock' | 'onDamage'>

export interface Content {
  /** Gives rows to bytes that are there, and names those that are missing or cannot be whole. */
  note(digests: readonly Digest[]): Promise<void>
  /** A manifest says how many bytes there are. */
  expect(digest: Digest, size: number): Promise<void>
  /** Hashes what has another size than was expected. */
  checkSizes(signal?: AbortSignal): Promise<void>
}

/** Why bytes cannot be those of the digest, however they read. */
export function emptiness(digest: Digest, size: number): string | undefined {
  if (size > 0 || digest === emptyDigest(algorithmOf(digest))) return undefined
  return 'is empty'
}

export function createContent(parts: ContentParts, repository: RepositoryName, portions: Portions): Content {
  const { facts, driver, clock, onDamage } = parts
  const expected = new Map<Digest, number>()

  async function note(digests: readonly Digest[]): Promise<void> {
    const infos = await mapSlices(digests, async (digest) => ({ digest, info: await orLost(statAtRest(digest)) }))
    for (const { digest, info } of infos) {
      if (typeof info === 'string') {
        await damage(digest, info)
        continue
      }
      const wrong = info ? emptiness(digest, info.size) : 'is missing'
      if (info) await portions.add((changed) => addBlob(changed, digest, info))
      if (wrong !== undefined) await damage(digest, wrong)
    }
  }

  /** Not while somebody deletes or replaces the bytes. */
  async function statAtRest(digest: Digest): Promise<ObjectInfo | undefined> {
    const known = await facts.read.collection.find(digest)
    const stat = () => driver.stat((known?.storedAt as ObjectKey | undefined) ?? layout.blob(digest))
    if (known?.condemnedUntil === undefined) return stat()
    await whenPardoned(parts, digest)
    return handleBytes(parts, digest, stat)
  }

  async function damage(digest: Digest, detail: string): Promise<void> {
    const key = layout.blob(digest)
    onDamage(key, detail)
    const found = { key, kind: 'content', repository, digest, detail, foundAt: clock() } as const
    await portions.add(async (changed) => {
      await changed.collection.markDamaged(digest, clock())
      await changed.damages.add(found)
    }, 2)
  }

  async function differenceOf(digest: Digest, size: number): Promise<string | undefined> {
    const actual = await hashOf(parts, digest)
    if (actual === undefined || actual === digest) return undefined
    return `holds ${size} bytes of ${actual}, and ${digest} was expected`
  }

  return {
    note,

    async expect(digest, size) {
      const row = await facts.read.collection.find(digest)
      if (row?.size === size) return
      // Two manifests that disagree are both doubted.
      expected.set(digest, expected.has(digest) && expected.get(digest) !== size ? Number.NaN : size)
    },

    async checkSizes(signal) {
      for (const [digest, size] of expected) {
        signal?.throwIfAborted()
        const row = await facts.read.collection.find(digest)
        if (!row || row.damagedAt !== undefined || row.size === size) continue
        const wrong = await orLost(differenceOf(digest, row.size))
        if (wrong !== undefined) await damage(digest, wrong)
      }
      expected.clear()
    },
  }
}

/** A row that says the same stays: it may know more, as that the bytes were found to be damaged. */
async function addBlob(changed: FactQueries, digest: Digest, { size, modifiedAt }: ObjectInfo): Promise<void> {
  const known = await changed.collection.find(digest)
  if (known?.size !== size || known.condemnedUntil !== undefined) await changed.blobs.add(digest, size, modifiedAt)
}

/** What the disk says where it has lost it. */
export async function orLost<T>(work: Promise<T>): Promise<T | string> {
  try {
    return await work
  } catch (error) {
    const code = lostCode(error)
    if (code === undefined) throw error
    return unreadable(code)
  }
}

async function hashOf({ driver }: ContentParts, digest: Digest): Promise<Digest | undefined> {
  const object = await driver.open(layout.blob(digest))
  if (!object) return undefined
  try {
    const hash = createHash(algorithmOf(digest))
    await object.send(hash)
    return toDigest(hash, algorithmOf(digest))
  } finally {
    await object.close()
  }
}
