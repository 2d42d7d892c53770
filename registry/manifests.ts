/**
 * Manifests of one repository. A put is three steps: the bytes get a row that names them and become durable, one
 * transaction checks what the manifest refers to and records it with its tags, and the link files follow. Readers see
 * all of it or nothing.
 */
import type { FactQueries, ManifestRow } from '../metadata/facts.ts'
import { algorithmOf, type Digest, digestOf } from '../oci/digest.ts'
import { Failure } from '../oci/failure.ts'
import { allReferences, type Manifest, readManifest, requiredReferences } from '../oci/manifest.ts'
import { newUploadId, type RepositoryName, type Tag, type UploadId } from '../oci/name.ts'
import { type Reference, referenceText } from '../oci/reference.ts'
import type { ObjectKey } from '../storage/driver.ts'
import { layout } from '../storage/layout.ts'
import type { LocalParts } from './local-parts.ts'
import type { ManifestPush, Manifests, PushedManifest, StoredManifest, TagCondition } from './registry.ts'
import { owe, tagKeys } from './settle.ts'

const namedUsers = 10

export function createManifests(parts: LocalParts, name: RepositoryName): Manifests {
  const { facts, blobs, settler, clock } = parts

  async function unknown(reference: Reference): Promise<Failure> {
    if (!(await facts.read.repositories.find(name))) return new Failure('repository-unknown', { repository: name })
    return new Failure('manifest-unknown', { repository: name, reference: referenceText(reference) })
  }

  async function get(reference: Reference): Promise<StoredManifest> {
    const row = await find(reference)
    if (!row) throw await unknown(reference)
    const bytes = await blobs.readSmall(row.digest)
    if (bytes) return { digest: row.digest, mediaType: row.mediaType, bytes }
    parts.onDamage(layout.blob(row.digest), 'its bytes are missing or not those of its digest')
    throw await unknown(reference)
  }

  function find(reference: Reference): Promise<ManifestRow | undefined> {
    return 'tag' in reference
      ? facts.read.manifests.findTagged(name, reference.tag)
      : facts.read.manifests.find(name, reference.digest)
  }

  async function put(reference: Reference, push: ManifestPush): Promise<PushedManifest> {
    const digest = digestOf(push.bytes, 'digest' in reference ? algorithmOf(reference.digest) : undefined)
    if ('digest' in reference && reference.digest !== digest) {
      throw new Failure('digest-mismatch', { expected: reference.digest, actual: digest })
    }
    const manifest = readManifest(push.bytes, push.contentType)
    const tags = [...new Set('tag' in reference ? [reference.tag] : push.tags)]
    const repository = await facts.read.repositories.find(name)
    await refuseMissing(facts.read, repository?.id, manifest)
    if (push.condition) await refuseUnlessTrue(facts.read, repository?.id, tags, push.condition)
    const arrival = newUploadId()
    await blobs.write(digest, push.bytes, announce(arrival, digest))
    const owed = await facts.write((changed) => record(changed, { manifest, digest, tags, push, arrival }))
    await settler.settle(owed)
    return { digest, tags, ...(manifest.subject && { subject: manifest.subject.digest }) }
  }

  /** The row that names the bytes before they appear under their digest. */
  function announce(id: UploadId, digest: Digest): Promise<void> {
    const algorithm = algorithmOf(digest)
    return facts.write((changed) =>
      changed.uploads.add({
        id,
        repository: name,
        state: 'committing',
        stage: '',
        algorithm,
        committing: digest,
        updatedAt: clock(),
      }),
    )
  }

  async function record(
    changed: FactQueries,
    { manifest, digest, tags, push, arrival }: Recording,
  ): Promise<ObjectKey[]> {
    const now = clock()
    const repository = await changed.repositories.ensure(name, now)
    await refuseMissing(changed, repository.id, manifest)
    if (push.condition) await refuseUnlessTrue(changed, repository.id, tags, push.condition)
    await changed.blobs.add(digest, push.bytes.length, now)
    const row = { digest, mediaType: manifest.mediaType, size: push.bytes.length, references: allReferences(manifest) }
    const { subject, artifactType, annotations } = manifest
    const described = {
      ...row,
      ...(subject && { subject: subject.digest }),
      ...(artifactType && { artifactType }),
      ...(subject && annotations && { annotations }),
    }
    await changed.manifests.put(repository.id, described, now)
    for (const tag of tags) await changed.tags.set(repository.id, tag, digest, now)
    await changed.uploads.remove(arrival)
    const owed = [layout.revision(name, digest), ...tags.flatMap((tag) => tagKeys(name, tag, [digest]))]
    await owe(changed, owed, now)
    return owed
  }

  /** An index may name blobs as well as manifests: BuildKit's caches list layers. */
  async function refuseMissing(queries: FactQueries, repository: number | undefined, manifest: Manifest) {
    if (parts.sparse) return
    const required = requiredReferences(manifest)
    const linked = repository === undefined ? new Set() : await queries.blobs.linkedAmong(repository, required)
    let missing = required.filter((digest) => !linked.has(digest))
    if (missing.length > 0 && repository !== undefined && manifest.kind === 'index') {
      const present = await queries.manifests.among(repository, missing)
      missing = missing.filter((digest) => !present.has(digest))
    }
    if (missing.length > 0) throw new Failure('manifest-references-unknown', { missing })
  }

  async function remove(reference: Reference): Promise<void> {
    const owed = await facts.write(async (changed) => {
      const repository = await changed.repositories.find(name)
      if (!repository) throw new Failure('repository-unknown', { repository: name })
      const keys =
        'tag' in reference
          ? await removeTag(changed, repository.id, reference.tag)
          : await removeRevision(changed, repository.id, reference.digest)
      if (!keys) throw new Failure('manifest-unknown', { repository: name, reference: referenceText(reference) })
      await owe(changed, keys, clock())
      return keys
    })
    await settler.settle(owed)
  }

  async function removeTag(changed: FactQueries, repository: number, tag: Tag) {
    const history = await changed.tags.history(repository, tag)
    return (await changed.tags.delete(repository, tag)) ? tagKeys(name, tag, history) : undefined
  }

  async function removeRevision(changed: FactQueries, repository: number, digest: Digest) {
    const parents = await changed.manifests.parents(repository, digest, namedUsers)
    if (parents.length > 0 && (await changed.manifests.find(name, digest))) {
      throw new Failure('content-in-use', { digest, by: parents })
    }
    if (!(await changed.manifests.delete(repository, digest))) return undefined
    const tags = await changed.tags.pointingTo(repository, digest)
    const past = await changed.manifests.untag(repository, digest)
    return [
      layout.revision(name, digest),
      ...tags.map((tag) => layout.tagCurrent(name, tag)),
      ...past.map((each) => layout.tagIndex(name, each.tag, each.digest)),
    ]
  }

  return { get, put, delete: remove }
}

interface Recording {
  readonly manifest: Manifest
  readonly digest: Digest
  readonly tags: readonly Tag[]
  readonly push: ManifestPush
  readonly arrival: UploadId
}

/**
 * If-Match and If-None-Match on a push by tag (RFC 9110 section 13): looked at before the bytes are written, decided in the
 * transaction that moves the tag.
 */
async function refuseUnlessTrue(
  changed: FactQueries,
  repository: number | undefined,
  tags: readonly Tag[],
  condition: TagCondition,
): Promise<void> {
  for (const tag of tags) {
    const current = repository === undefined ? undefined : await changed.tags.digest(repository, tag)
    const holds =
      condition.kind === 'absent'
        ? current === undefined
        : current !== undefined && (condition.digests.includes(current) || condition.digests.includes('*'))
    if (!holds) {
      throw new Failure('precondition-failed', { header: condition.kind === 'absent' ? 'If-None-Match' : 'If-Match' })
    }
  }
}
