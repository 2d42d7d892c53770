/**
 * Manifests of a repository whose facts only storage knows yet. They are read from its link files and nothing is
 * written, so that the first pull after a volume was opened waits for nothing. Everything else asks for the repository
 * to be adopted, and then SQL.
 */
import type { Digest } from '../oci/digest.ts'
import { Failure } from '../oci/failure.ts'
import { readManifest } from '../oci/manifest.ts'
import { bareMediaType, isManifestType } from '../oci/media-types.ts'
import type { RepositoryName } from '../oci/name.ts'
import { type Reference, referenceText } from '../oci/reference.ts'
import type { ObjectKey } from '../storage/driver.ts'
import { layout } from '../storage/layout.ts'
import { readLink } from '../storage/repository-tree.ts'
import type { LocalParts } from './local-parts.ts'
import type { StoredManifest } from './registry.ts'

export interface UnadoptedReader {
  /** Nothing where SQL is the truth, or where storage has no such manifest either. */
  manifest(reference: Reference): Promise<StoredManifest | undefined>
  /** What SQL says, once it is the truth: a fact that it does not have may be one that it does not have yet. */
  orAdopted<T>(find: () => Promise<T | undefined>): Promise<T | undefined>
}

export function createUnadoptedReader(parts: LocalParts, name: RepositoryName): UnadoptedReader {
  const { facts, driver, blobs, adoption } = parts

  async function isUnadopted(): Promise<boolean> {
    if (adoption.complete) return false
    const repository = await facts.read.repositories.find(name)
    return repository ? repository.state === 'unadopted' : !adoption.namesKnown
  }

  async function manifest(reference: Reference): Promise<StoredManifest | undefined> {
    if (!(await isUnadopted())) return undefined
    const digest = 'tag' in reference ? await link(layout.tagCurrent(name, reference.tag)) : reference.digest
    if (!digest || (await link(layout.revision(name, digest))) !== digest) return undefined
    const bytes = await blobs.readSmall(digest)
    if (!bytes) {
      parts.onDamage(layout.blob(digest), 'its bytes are missing or not those of its digest')
      return undefined
    }
    return { digest, bytes, mediaType: await typeOf(reference, digest, bytes) }
  }

  async function link(key: ObjectKey): Promise<Digest | undefined> {
    const found = await readLink(driver, key)
    if (found !== 'damaged') return found
    parts.onDamage(key, 'it holds no digest')
    return undefined
  }

  async function typeOf(reference: Reference, digest: Digest, bytes: Uint8Array): Promise<string> {
    const pushedAs = bareMediaType(await readText(layout.mediaType(name, digest)))
    try {
      return readManifest(bytes, isManifestType(pushedAs) ? pushedAs : '').mediaType
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      const detail = { repository: name, reference: referenceText(reference) }
      throw new Failure(error.failure === 'manifest-schema1' ? 'manifest-schema1-stored' : 'manifest-unknown', detail)
    }
  }

  async function readText(key: ObjectKey): Promise<string> {
    const object = await driver.open(key)
    if (!object) return ''
    try {
      return Buffer.from(await object.read()).toString()
    } finally {
      await object.close()
    }
  }

  return {
    manifest,
    async orAdopted(find) {
      const wasComplete = adoption.complete
      const found = await find()
      if (found !== undefined || wasComplete) return found
      if (await isUnadopted()) await adoption.adopt(name)
      // It may have been adopted since SQL was asked.
      return find()
    },
  }
}
