/**
 * Pushing a manifest (distribution-spec, "Pushing Manifests"), in three steps: the bytes get a row that names them and
 * become durable, one transaction checks what the manifest refers to and records it with its tags, and the link files
 * follow. Readers see all of it or nothing.
 */
import type { FactQueries } from '../metadata/facts.ts'
import { algorithmOf, type Digest, digestOf } from '../oci/digest.ts'
import { Failure } from '../oci/failure.ts'
import { type Manifest, readManifest, requiredReferences } from '../oci/manifest.ts'
import { newUploadId, type RepositoryName, type Tag, type UploadId } from '../oci/name.ts'
import type { Reference } from '../oci/reference.ts'
import type { ObjectKey } from '../storage/driver.ts'
import { layout } from '../storage/layout.ts'
import { changeRepository } from './adoption.ts'
import type { LocalParts } from './local-parts.ts'
import { manifestFacts } from './manifest-facts.ts'
import { nameBytes, whenPardoned } from './pardon.ts'
import type { ManifestPush, Manifests, PushedManifest, TagCondition } from './registry.ts'
import { owe, tagKeys } from './settle.ts'

export function createManifestPush(parts: LocalParts, name: RepositoryName): Manifests['put'] {
  const { facts, blobs, settler, clock, adoption } = parts

  async function put(reference: Reference, push: ManifestPush): Promise<PushedManifest> {
    const digest = digestOf(push.bytes, 'digest' in reference ? algorithmOf(reference.digest) : undefined)
    if ('digest' in reference && reference.digest !== digest) {
      throw new Failure('digest-mismatch', { expected: reference.digest, actual: digest })
    }
    const manifest = readManifest(push.bytes, push.contentType)
    const tags = [...new Set('tag' in reference ? [reference.tag] : push.tags)]
    await refuseEarly(manifest, tags, push.condition)
    const arrival = newUploadId()
    const announced = announce(arrival, digest)
    await nameBytes(parts, digest, announced, (named) => blobs.write(digest, push.bytes, named))
    const recording = { manifest, digest, tags, push, arrival }
    const owed = await changeRepository(parts, name, (changed) => record(changed, recording))
    await settler.settle(owed)
    return { digest, tags, ...(manifest.subject && { subject: manifest.subject.digest }) }
  }

  /** What the transaction will refuse need not be written first. */
  async function refuseEarly(manifest: Manifest, tags: readonly Tag[], condition: TagCondition | undefined) {
    const repository = await facts.read.repositories.find(name)
    if (repository ? repository.state === 'unadopted' : !adoption.namesKnown) return
    await refuseMissing(facts.read, repository?.id, manifest)
    if (condition) await refuseUnlessTrue(facts.read, repository?.id, tags, condition)
  }

  /** The row that names the bytes before they appear under their digest. */
  async function announce(id: UploadId, digest: Digest): Promise<void> {
    const algorithm = algorithmOf(digest)
    const row = { id, repository: name, state: 'committing', stage: '', algorithm, committing: digest } as const
    await facts.write((changed) => changed.uploads.add({ ...row, version: 0, updatedAt: clock() }), {
      touches: 'uploads',
    })
    await whenPardoned(parts, digest)
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
    await changed.manifests.put(repository.id, manifestFacts(manifest, digest, push.bytes.length), now)
    for (const tag of tags) await changed.tags.set(repository.id, tag, digest, now)
    // Without its row the bytes may be on their way out.
    if (!(await changed.uploads.remove(arrival)))
      throw new Error(`the push of ${digest} took so long that it was given up`)
    await changed.damages.removeOf(digest)
    const owed = [layout.revision(name, digest), ...tags.flatMap((tag) => tagKeys(name, tag, [digest]))]
    // An old registry derives the type from the bytes, and so do we where the database is lost.
    if (manifest.mediaType !== manifest.impliedType) owed.push(layout.mediaType(name, digest))
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

  return put
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
