/**
 * Deleting tags and manifests (distribution-spec, "Content Management"). What goes can be restored for a while: the trash
 * keeps what it would need, and only purging the trash leaves something to the collector.
 */
import { randomUUID } from 'node:crypto'
import type { FactQueries, ManifestRow } from '../metadata/facts.ts'
import type { NewTrash } from '../metadata/facts-upkeep.ts'
import type { Digest } from '../oci/digest.ts'
import { Failure } from '../oci/failure.ts'
import type { RepositoryName, Tag, UploadId } from '../oci/name.ts'
import { type Reference, referenceText } from '../oci/reference.ts'
import type { ObjectKey } from '../storage/driver.ts'
import { layout } from '../storage/layout.ts'
import { changeRepository } from './adoption.ts'
import type { LocalParts } from './local-parts.ts'
import type { Caller, Manifests } from './registry.ts'
import { reviewNow, reviewReferrers } from './reviews.ts'
import { owe, tagKeys } from './settle.ts'

/** How many of the manifests that use one are named when its deletion is refused. */
const namedUsers = 10

export interface RemovalParts extends Pick<LocalParts, 'clock' | 'graceMs' | 'trashMs'> {}

/** Who deletes, and why. */
export interface Deletion {
  readonly by?: string
  /** In words. */
  readonly reason: string
}

export function createManifestRemoval(parts: LocalParts, name: RepositoryName, caller: Caller): Manifests['delete'] {
  const { settler, clock } = parts
  const deletion: Deletion = {
    reason: 'deleted through the API',
    ...(caller.identity !== undefined && { by: caller.identity }),
  }

  return async function remove(reference: Reference): Promise<void> {
    const owed = await changeRepository(parts, name, async (changed, repository) => {
      if (!repository) throw new Failure('repository-unknown', { repository: name })
      const removal = createRemoval(parts, { id: repository.id, name })
      const keys =
        'tag' in reference
          ? await removal.tag(changed, reference.tag, deletion)
          : await removal.manifest(changed, reference.digest, deletion)
      if (!keys) throw new Failure('manifest-unknown', { repository: name, reference: referenceText(reference) })
      await owe(changed, keys, clock())
      return keys
    })
    await settler.settle(owed)
  }
}

export interface Removal {
  /** Returns the keys that are owed from now on; nothing where there is no such tag. */
  tag(changed: FactQueries, tag: Tag, deletion: Deletion): Promise<ObjectKey[] | undefined>
  /** Every tag that points to it goes as well. Fails with `content-in-use` where an index lists it. */
  manifest(changed: FactQueries, digest: Digest, deletion: Deletion): Promise<ObjectKey[] | undefined>
}

/** Within transactions of the caller's, in a repository that is adopted. */
export function createRemoval(
  { clock, graceMs, trashMs }: RemovalParts,
  { id, name }: { readonly id: number; readonly name: RepositoryName },
): Removal {
  /** Keeps what restoring needs; or, where nothing can be restored, leaves it to the collector at once. */
  async function discard(
    changed: FactQueries,
    entry: Pick<NewTrash, 'kind' | 'digest' | 'mediaType' | 'tags'>,
    kept: readonly Digest[],
    { reason, by }: Deletion,
  ): Promise<ObjectKey[]> {
    const now = clock()
    if (trashMs === 0) {
      await reviewNow(changed, kept, now)
      return []
    }
    const trashId = randomUUID() as UploadId
    const row = { ...entry, id: trashId, repositoryId: id, reason, deletedAt: now }
    await changed.trash.add(by === undefined ? row : { ...row, deletedBy: by }, kept)
    return [layout.trash(trashId)]
  }

  async function tag(changed: FactQueries, tag: Tag, deletion: Deletion): Promise<ObjectKey[] | undefined> {
    const pointedTo = await changed.manifests.findTagged(name, tag)
    const digest = await changed.tags.digest(id, tag)
    const history = await changed.tags.history(id, tag)
    if (!(await changed.tags.delete(id, tag))) return undefined
    const keys = tagKeys(name, tag, history)
    if (!pointedTo || !digest) return keys
    const { mediaType } = pointedTo
    const entry = { kind: 'tag', digest, mediaType, tags: [tag] } as const
    return [...keys, ...(await discard(changed, entry, [digest], deletion))]
  }

  async function manifest(changed: FactQueries, digest: Digest, deletion: Deletion): Promise<ObjectKey[] | undefined> {
    const parents = await changed.manifests.parents(id, digest, namedUsers)
    const found: ManifestRow | undefined = await changed.manifests.find(name, digest)
    if (!found) return undefined
    if (parents.length > 0) throw new Failure('content-in-use', { digest, by: parents })
    const references = await changed.manifests.references(id, digest)
    await changed.manifests.delete(id, digest)
    const tags = await changed.tags.pointingTo(id, digest)
    const past = await changed.manifests.untag(id, digest)
    await reviewReferrers(changed, id, digest, clock() + graceMs)
    const entry = { kind: 'manifest', digest, mediaType: found.mediaType, tags } as const
    const kept = await discard(changed, entry, [digest, ...references], deletion)
    return [
      layout.revision(name, digest),
      layout.mediaType(name, digest),
      ...tags.map((each) => layout.tagCurrent(name, each)),
      ...past.map((each) => layout.tagIndex(name, each.tag, each.digest)),
      ...kept,
    ]
  }

  return { tag, manifest }
}
