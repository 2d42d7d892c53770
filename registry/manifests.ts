/** Manifests of one repository: reading them, and who does the rest. */
import type { ManifestRow } from '../metadata/facts.ts'
import { Failure } from '../oci/failure.ts'
import { isSchema1Type } from '../oci/media-types.ts'
import type { RepositoryName } from '../oci/name.ts'
import { type Reference, referenceText } from '../oci/reference.ts'
import { layout } from '../storage/layout.ts'
import type { LocalParts } from './local-parts.ts'
import { createManifestPush } from './manifest-push.ts'
import { createManifestRemoval } from './manifest-removal.ts'
import type { Caller, Manifests, StoredManifest } from './registry.ts'
import { createUnadoptedReader } from './unadopted.ts'

export function createManifests(parts: LocalParts, name: RepositoryName, caller: Caller): Manifests {
  const { facts, blobs } = parts
  const unadopted = createUnadoptedReader(parts, name)

  async function unknown(reference: Reference): Promise<Failure> {
    if (!(await facts.read.repositories.find(name))) return new Failure('repository-unknown', { repository: name })
    return new Failure('manifest-unknown', { repository: name, reference: referenceText(reference) })
  }

  async function get(reference: Reference): Promise<StoredManifest> {
    const wasComplete = parts.adoption.complete
    let row = await find(reference)
    if (!row && !wasComplete) {
      const inStorage = await unadopted.manifest(reference)
      if (inStorage) return inStorage
      // The repository may have been adopted since SQL was asked.
      row = await find(reference)
    }
    if (!row) throw await unknown(reference)
    if (isSchema1Type(row.mediaType)) {
      throw new Failure('manifest-schema1-stored', { repository: name, reference: referenceText(reference) })
    }
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

  return {
    get,
    put: createManifestPush(parts, name),
    delete: createManifestRemoval(parts, name, caller),
  }
}
