import type { RepositoryName } from '../../oci/name.ts'
import type { Exchange } from '../exchange.ts'
import { emptyPage, readPageRequest } from '../page-request.ts'
import { replyJson } from '../replies/json.ts'
import { urls } from '../urls.ts'

/** Without `n`, many clients expect everything and follow no link: a page is as large as can be afforded. */
const usualPage = 10_000

/** Tags in byte order (distribution-spec, "Listing Tags"). */
export async function list(exchange: Exchange, { name }: { readonly name: RepositoryName }): Promise<void> {
  const { ctx, registry, caller, behaviour, query } = exchange
  const { maxTagPage } = behaviour
  const asked = readPageRequest(query, { usual: Math.max(usualPage, maxTagPage), most: maxTagPage })
  const found = await registry.repository(name, caller).tags.list(asked)
  const { entries, next } = asked.nothing ? { ...emptyPage, next: undefined } : found
  if (next !== undefined) {
    ctx.set('Link', urls.nextPage(behaviour, `/v2/${name}/tags/list`, { n: String(asked.limit), last: next }))
  }
  replyJson(ctx, { name, tags: entries })
}
