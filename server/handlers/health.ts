import type { Exchange } from '../exchange.ts'
import { replyJson } from '../replies/json.ts'

/** Load balancers ask for `/` and want 200. */
export function root({ ctx }: Exchange): void {
  ctx.set('Content-Type', 'text/plain; charset=utf-8')
  ctx.body = 'Berth: an OCI registry. The API begins at /v2/.\n'
}

/** The process answers. */
export function live({ ctx }: Exchange): void {
  replyJson(ctx, { status: 'ok' })
}

/** This node can serve: its storage and its database answer, and it is not stopping. */
export async function ready({ ctx, health }: Exchange): Promise<void> {
  const reason = await health.unready()
  replyJson(ctx, reason === undefined ? { status: 'ready' } : { status: 'unready', reason })
  if (reason !== undefined) ctx.status = 503
}
