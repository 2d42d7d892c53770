/**
 * What was deleted and can still be had back. An entry keeps everything that restoring it needs; purging it leaves that to
 * the collector.
 */
import type { FactQueries } from '../../metadata/facts.ts'
import type { TrashRow } from '../../metadata/facts-upkeep.ts'
import type { Digest } from '../../oci/digest.ts'
import { type Manifest, readManifest, requiredReferences } from '../../oci/manifest.ts'
import { isManifestType } from '../../oci/media-types.ts'
import { parseUploadId, type Tag, type UploadId } from '../../oci/name.ts'
import { changeRepository } from '../../registry/adoption.ts'
import type { LocalParts } from '../../registry/local-parts.ts'
import { manifestFacts } from '../../registry/manifest-facts.ts'
import { reviewNow } from '../../registry/reviews.ts'
import { owe, tagKeys } from '../../registry/settle.ts'
import type { ObjectKey } from '../../storage/driver.ts'
import { layout } from '../../storage/layout.ts'
import type { Operations, Restored, TrashEntry } from '../operations.ts'

/** It cannot be restored; the message says why. */
export class NotRestored extends Error {
  override readonly name = 'NotRestored'
}

const batch = 200

export type Trash = Pick<Operations, 'listTrash' | 'restoreTrash' | 'purgeTrash'>

export type TrashParts = Pick<LocalParts, 'facts' | 'blobs' | 'settler' | 'adoption' | 'clock' | 'trashMs' | 'sparse'>

export function createTrash(parts: TrashParts): Trash {
  const { facts, trashMs } = parts

  function describe(row: TrashRow): TrashEntry {
    const { id, kind, repository, digest, tags, reason, deletedAt, deletedBy } = row
    const keptUntil = deletedAt + trashMs
    const entry = { id, kind, repository, digest, tags, reason, deletedAt, keptUntil }
    return deletedBy === undefined ? entry : { ...entry, deletedBy }
  }

  return {
    async listTrash({ repository, after, limit }) {
      const entries: TrashEntry[] = []
      for (let place = after === undefined ? undefined : placeOf(after); ; ) {
        const rows = await facts.read.trash.page(place, Number.MAX_SAFE_INTEGER, batch)
        for (const row of rows) {
          if (repository !== undefined && row.repository !== repository) continue
          entries.push(describe(row))
          if (entries.length === limit) return { entries, next: `${row.deletedAt}.${row.id}` }
        }
        const last = rows.at(-1)
        if (!last || rows.length < batch) return { entries }
        place = last
        await new Promise(setImmediate)
      }
    },

    async restoreTrash(id) {
      const entry = await facts.read.trash.find(parseUploadId(id) ?? ('' as UploadId))
      if (!entry) throw new NotRestored(`the trash has no entry ${JSON.stringify(id)}: see "berth trash list"`)
      return restore(parts, entry)
    },

    async purgeTrash(which, signal) {
      let purged = 0
      if ('ids' in which) {
        for (const id of which.ids) {
          signal?.throwIfAborted()
          const known = parseUploadId(id)
          if (known && (await purgeEntry(parts, known))) purged++
        }
        return { purged }
      }
      for (;;) {
        const rows = await facts.read.trash.page(undefined, which.before, batch)
        for (const row of rows) {
          signal?.throwIfAborted()
          if (await purgeEntry(parts, row.id)) purged++
        }
        if (rows.length < batch) return { purged }
      }
    },
  }
}

function placeOf(after: string) {
  const [deletedAt = '', id = ''] = after.split('.')
  return { deletedAt: Number(deletedAt), id }
}

/** From this transaction on nothing keeps what the entry kept. */
export async function purgeEntry({ facts, settler, clock }: TrashParts, id: UploadId): Promise<boolean> {
  const owed = [layout.trash(id)]
  const purged = await facts.write(async (changed) => {
    if (!(await changed.trash.find(id))) return false
    const now = clock()
    await reviewNow(changed, await changed.trash.remove(id), now)
    await owe(changed, owed, now)
    return true
  })
  if (purged) await settler.settle(owed)
  return purged
}

async function restore(parts: TrashParts, entry: TrashRow): Promise<Restored> {
  const { settler, clock } = parts
  const stored = await readStored(parts, entry)
  const { restored, owed } = await changeRepository(parts, entry.repository, async (changed) => {
    const now = clock()
    if (!(await changed.trash.find(entry.id))) throw new NotRestored('it was purged just now')
    const { id } = await changed.repositories.ensure(entry.repository, now)
    const keys: ObjectKey[] = await recordAgain(changed, parts, id, entry, stored, now)
    const taken: Tag[] = []
    for (const tag of entry.tags) {
      const current = await changed.tags.digest(id, tag)
      if (current !== undefined && current !== entry.digest) taken.push(tag)
      else {
        await changed.tags.set(id, tag, entry.digest, now)
        keys.push(...tagKeys(entry.repository, tag, [entry.digest]))
      }
    }
    await changed.trash.remove(entry.id)
    keys.push(layout.trash(entry.id))
    await owe(changed, keys, now)
    const tags = entry.tags.filter((tag) => !taken.includes(tag))
    return { restored: { repository: entry.repository, digest: entry.digest, tags, taken }, owed: keys }
  })
  await settler.settle(owed)
  return restored
}

async function readStored({ blobs }: TrashParts, { digest, mediaType }: TrashRow): Promise<Stored> {
  const bytes = await blobs.readSmall(digest)
  if (!bytes) throw new NotRestored(`the bytes of ${digest} are missing or damaged: push the manifest again`)
  return { manifest: readManifest(bytes, mediaType), size: bytes.length }
}

interface Stored {
  readonly manifest: Manifest
  readonly size: number
}

async function recordAgain(
  changed: FactQueries,
  { sparse }: TrashParts,
  repositoryId: number,
  { repository, digest, kind }: TrashRow,
  { manifest, size }: Stored,
  now: number,
): Promise<ObjectKey[]> {
  if (await changed.manifests.find(repository, digest)) return []
  if (
    kind === 'tag' &&
    !(await changed.trash.ofDigest(repositoryId, digest)).some((each) => each.kind === 'manifest')
  ) {
    throw new NotRestored(`${repository} has no manifest ${digest} any more, and the trash has none either`)
  }
  // A manifest that may lack things may name what this repository never was allowed to read.
  const relinked = sparse ? [] : await linkAgain(changed, repositoryId, manifest, now)
  const missing = sparse ? [] : await missingReferences(changed, repositoryId, manifest)
  if (missing.length > 0) {
    const named = await Promise.all(missing.slice(0, 10).map((each) => nameMissing(changed, repositoryId, each)))
    throw new NotRestored(`${repository} lacks what ${digest} refers to: ${named.join(', ')}`)
  }
  await changed.manifests.put(repositoryId, manifestFacts(manifest, digest, size), now)
  const layers = relinked.map((each) => layout.layer(repository, each))
  return [layout.revision(repository, digest), layout.mediaType(repository, digest), ...layers]
}

/** A child of an index is restored by itself: it may be wanted, or not. */
async function nameMissing(changed: FactQueries, repositoryId: number, digest: string): Promise<string> {
  const [entry] = (await changed.trash.ofDigest(repositoryId, digest as Digest)).filter(
    ({ kind }) => kind === 'manifest',
  )
  return entry ? `${digest} (restore it first: it is in the trash as ${entry.id})` : digest
}

/** A blob that only the trash needed may have been deleted from the repository; its bytes were kept all the same. */
async function linkAgain(changed: FactQueries, repositoryId: number, manifest: Manifest, now: number) {
  const relinked: Digest[] = []
  const children = new Set(
    manifest.members.filter(({ mediaType }) => isManifestType(mediaType)).map((each) => each.digest),
  )
  for (const digest of (await missingReferences(changed, repositoryId, manifest)) as Digest[]) {
    if (children.has(digest)) continue
    const stored = await changed.collection.find(digest)
    if (!stored || stored.condemnedUntil !== undefined) continue
    await changed.blobs.link(repositoryId, digest, now)
    relinked.push(digest)
  }
  return relinked
}

async function missingReferences(changed: FactQueries, repositoryId: number, manifest: Manifest): Promise<string[]> {
  const required = requiredReferences(manifest)
  const linked = await changed.blobs.linkedAmong(repositoryId, required)
  const present = await changed.manifests.among(repositoryId, required)
  return required.filter((digest) => !linked.has(digest) && !present.has(digest as Digest))
}
