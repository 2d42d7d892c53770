import type { Context } from 'koa'

/** An answer without a body. Koa would make 204 of it, or write the status' name as text. */
export function replyEmpty(
  ctx: Context,
  status: number,
  headers: Readonly<Record<string, string | string[]>> = {},
): void {
  ctx.body = null
  ctx.status = status
  ctx.set(headers as Record<string, string | string[]>)
  if (status !== 204) ctx.set('Content-Length', '0')
}
