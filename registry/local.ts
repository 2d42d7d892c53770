/** The registry that is kept here: bytes in storage, facts in SQL. */
import { Failure } from '../oci/failure.ts'
import type { RepositoryName } from '../oci/name.ts'
import { pageOf } from '../oci/page.ts'
import { createBlobs } from './blobs.ts'
import type { LocalParts } from './local-parts.ts'
import { createManifests } from './manifests.ts'
import { createReferrers } from './referrers.ts'
import type { Registry, Tags } from './registry.ts'
import { createUnadoptedReader } from './unadopted.ts'
import { createUploads } from './uploads.ts'

/** What a repository's name can hold; no name contains anything else. */
const mayName = /^[a-z0-9._/-]*$/i

export function createRegistry(parts: LocalParts): Registry {
  const { facts, adoption } = parts
  return {
    repository: (name, caller) => ({
      name,
      blobs: createBlobs(parts, name),
      uploads: createUploads(parts, name, caller),
      manifests: createManifests(parts, name, caller),
      tags: createTags(parts, name),
      referrers: createReferrers(parts, name),
    }),
    async catalog({ after = '', limit }) {
      await adoption.whenNamesKnown()
      return pageOf(await facts.read.repositories.page(after, limit + 1), limit, (name) => name)
    },
    async search(term, limit) {
      await adoption.whenNamesKnown()
      return mayName.test(term) ? facts.read.repositories.search(term, limit) : []
    },
  }
}

function createTags(parts: LocalParts, name: RepositoryName): Tags {
  const { facts } = parts
  const unadopted = createUnadoptedReader(parts, name)
  const findAdopted = async () => {
    const found = await facts.read.repositories.find(name)
    return found?.state === 'adopted' ? found : undefined
  }
  return {
    async list({ after = '', limit }) {
      const repository = await unadopted.orAdopted(findAdopted)
      if (!repository) throw new Failure('repository-unknown', { repository: name })
      return pageOf(await facts.read.tags.page(repository.id, after, limit + 1), limit, (tag) => tag)
    },
  }
}
