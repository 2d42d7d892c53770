/** `docker search host/term` and `podman search`: two addresses of the old API that clients still ask. */
import type { Exchange } from '../exchange.ts'
import { readPageRequest } from '../page-request.ts'
import { replyJson } from '../replies/json.ts'

const usualResults = 25
const mostResults = 100

export function ping({ ctx }: Exchange): void {
  ctx.set('X-Docker-Registry-Standalone', 'true')
  replyJson(ctx, { standalone: true })
}

export async function search({ ctx, registry, caller, query }: Exchange): Promise<void> {
  const term = (query.get('q') ?? '').trim().slice(0, 255)
  const { limit, nothing } = readPageRequest(query, { usual: usualResults, most: mostResults })
  const names = nothing ? [] : await registry.search(term, limit, caller)
  replyJson(ctx, {
    query: term,
    page: 1,
    page_size: limit,
    num_pages: 1,
    num_results: names.length,
    results: names.map((name) => ({
      name,
      description: '',
      star_count: 0,
      is_official: false,
      is_automated: false,
    })),
  })
}
