import type { Digest } from '../../oci/digest.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import type { RepositoryName } from '../../oci/name.ts'
import type { Exchange } from '../exchange.ts'
import { replyJson } from '../replies/json.ts'
import { urls } from '../urls.ts'

const pageSize = 1000

interface Addressed {
  readonly name: RepositoryName
  readonly digest: Digest
}

/** An index of the manifests whose subject this is; never 404 (distribution-spec, "Listing Referrers"). */
export async function list(exchange: Exchange, { name, digest }: Addressed): Promise<void> {
  const { ctx, registry, caller, behaviour, query } = exchange
  const artifactTypes = query
    .getAll('artifactType')
    .map(unescapePlus)
    .filter((type) => type !== '')
  const last = query.get('last')
  const page = await registry
    .repository(name, caller)
    .referrers.list(digest, { limit: pageSize, ...(last && { after: last }) }, artifactTypes)
  if (artifactTypes.length > 0) ctx.set('OCI-Filters-Applied', 'artifactType')
  if (page.next !== undefined) {
    const parameters = new URLSearchParams([
      ...artifactTypes.map((type) => ['artifactType', type]),
      ['last', page.next],
    ])
    ctx.set('Link', urls.nextPage(behaviour, `/v2/${name}/referrers/${digest}`, parameters))
  }
  const index = { schemaVersion: 2, mediaType: mediaTypes.imageIndex, manifests: page.entries }
  replyJson(ctx, index, mediaTypes.imageIndex)
}

/** `application/spdx+json` arrives as `application/spdx json`; no media type holds a space. */
const unescapePlus = (text: string): string => text.replaceAll(' ', '+')
