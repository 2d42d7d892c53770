import type { Context } from 'koa'

/** JSON with exactly this media type: Koa would add a charset, which some clients compare against. */
export function replyJson(ctx: Context, value: unknown, mediaType = 'application/json'): void {
  const bytes = Buffer.from(JSON.stringify(value))
  ctx.status = 200
  ctx.set('Content-Type', mediaType)
  ctx.body = bytes
}
