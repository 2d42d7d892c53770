/** Who points at a manifest (distribution-spec, "Listing Referrers"). */
import type { ReferrerRow } from '../metadata/facts.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { RepositoryName } from '../oci/name.ts'
import type { LocalParts } from './local-parts.ts'
import type { Referrers } from './registry.ts'
import { createUnadoptedReader } from './unadopted.ts'

/** containerd reads no more than 4,393,216 bytes of a referrers list, and does not ask for its next page. */
const pageBytes = 4_000_000

export function createReferrers(parts: LocalParts, name: RepositoryName): Referrers {
  const { facts } = parts
  const unadopted = createUnadoptedReader(parts, name)
  return {
    async list(subject, { after = '', limit }, artifactTypes) {
      const wanted = { after, limit, bytes: pageBytes, artifactTypes }
      const page = await unadopted.orAdopted(async () => {
        const found = await facts.read.manifests.referrers(name, subject, wanted)
        return found.entries.length > 0 ? found : undefined
      })
      return page ? { ...page, entries: page.entries.map(describe) } : { entries: [] }
    },
  }
}

function describe({ mediaType, digest, size, artifactType, annotations }: ReferrerRow): Descriptor {
  return { mediaType, digest, size, ...(artifactType && { artifactType }), ...(annotations && { annotations }) }
}
