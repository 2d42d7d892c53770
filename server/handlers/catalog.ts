import type { Exchange } from '../exchange.ts'
import { emptyPage, readPageRequest } from '../page-request.ts'
import { replyJson } from '../replies/json.ts'
import { urls } from '../urls.ts'

/** Repository names in byte order (Docker Registry HTTP API V2, "Catalog"). */
export async function list({ ctx, registry, caller, behaviour, query }: Exchange): Promise<void> {
  const { maxCatalogPage } = behaviour
  const asked = readPageRequest(query, { usual: maxCatalogPage, most: maxCatalogPage })
  const found = await registry.catalog(asked, caller)
  const { entries, next } = asked.nothing ? { ...emptyPage, next: undefined } : found
  if (next !== undefined) {
    ctx.set('Link', urls.nextPage(behaviour, '/v2/_catalog', { n: String(asked.limit), last: next }))
  }
  replyJson(ctx, { repositories: entries })
}
