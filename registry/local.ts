/** The registry that is kept here: bytes in storage, facts in SQL. */
import type { Locks } from '../coordination/locks.ts'
import type { Facts } from '../metadata/facts.ts'
import { Failure } from '../oci/failure.ts'
import type { RepositoryName } from '../oci/name.ts'
import { pageOf } from '../oci/page.ts'
import type { BlobStore } from '../storage/blob-store.ts'
import type { StorageDriver } from '../storage/driver.ts'
import { createBlobs } from './blobs.ts'
import type { LiveHashes } from './live-hashes.ts'
import { createManifests } from './manifests.ts'
import { createReferrers } from './referrers.ts'
import type { Registry, Tags } from './registry.ts'
import type { Settler } from './settle.ts'
import { createUploads } from './uploads.ts'

export interface LocalParts {
  readonly facts: Facts
  readonly driver: StorageDriver
  readonly blobs: BlobStore
  readonly locks: Locks
  readonly hashes: LiveHashes
  readonly settler: Settler
  /** Milliseconds since 1970. */
  readonly clock: () => number
  /** How long something that nobody refers to stays, in milliseconds. */
  readonly graceMs: number
  /** Whether a manifest may refer to what is not here. */
  readonly sparse: boolean
  /** Stored bytes are not what they must be. */
  readonly onDamage: (key: string, reason: string) => void
}

export function createRegistry(parts: LocalParts): Registry {
  const { facts } = parts
  return {
    repository: (name, caller) => ({
      name,
      blobs: createBlobs(parts, name),
      uploads: createUploads(parts, name, caller),
      manifests: createManifests(parts, name),
      tags: createTags(parts, name),
      referrers: createReferrers(parts, name),
    }),
    async catalog({ after = '', limit }) {
      return pageOf(await facts.read.repositories.page(after, limit + 1), limit, (name) => name)
    },
    search: (term, limit) => facts.read.repositories.search(term, limit),
  }
}

function createTags({ facts }: LocalParts, name: RepositoryName): Tags {
  return {
    async list({ after = '', limit }) {
      const repository = await facts.read.repositories.find(name)
      if (!repository) throw new Failure('repository-unknown', { repository: name })
      return pageOf(await facts.read.tags.page(repository.id, after, limit + 1), limit, (tag) => tag)
    },
  }
}
