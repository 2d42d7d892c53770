/** The registry that is kept here: bytes in storage, facts in SQL. */
import { Failure } from '../oci/failure.ts'
import type { RepositoryName } from '../oci/name.ts'
import { pageOf } from '../oci/page.ts'
import { createBlobs } from './blobs.ts'
import type { LocalParts } from './local-parts.ts'
import { createManifests } from './manifests.ts'
import { createReferrers } from './referrers.ts'
import type { Registry, Tags } from './registry.ts'
import { createUploads } from './uploads.ts'

/** What a repository's name can hold; no name contains anything else. */
const mayName = /^[a-z0-9._/-]*$/i

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
    search: async (term, limit) => (mayName.test(term) ? facts.read.repositories.search(term, limit) : []),
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
