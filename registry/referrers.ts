/** Who points at a manifest (distribution-spec, "Listing Referrers"). */
import type { ReferrerRow } from '../metadata/facts.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { RepositoryName } from '../oci/name.ts'
import type { Page } from '../oci/page.ts'
import type { LocalParts } from './local-parts.ts'
import type { Referrers } from './registry.ts'

/** containerd reads no more than 4,393,216 bytes of a referrers list, and does not ask for its next page. */
const pageBytes = 4_000_000

export function createReferrers({ facts }: LocalParts, name: RepositoryName): Referrers {
  return {
    async list(subject, { after = '', limit }, artifactTypes) {
      const rows = await facts.read.manifests.referrers(name, subject, after, limit + 1, artifactTypes)
      return pageWithin(rows.map(describe), limit)
    },
  }
}

/** A page ends at its limit, or before it grows too large; it holds at least one entry. */
function pageWithin(descriptors: readonly Descriptor[], limit: number): Page<Descriptor> {
  const entries: Descriptor[] = []
  let bytes = 0
  for (const descriptor of descriptors) {
    bytes += JSON.stringify(descriptor).length
    const last = entries.at(-1)
    if (last && (entries.length === limit || bytes > pageBytes)) return { entries, next: last.digest }
    entries.push(descriptor)
  }
  return { entries }
}

function describe({ mediaType, digest, size, artifactType, annotations }: ReferrerRow): Descriptor {
  return { mediaType, digest, size, ...(artifactType && { artifactType }), ...(annotations && { annotations }) }
}
