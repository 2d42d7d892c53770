import type { Context } from 'koa'
import type { Digest } from '../../oci/digest.ts'

/**
 * The bytes are fetched from where they lie. The address is good for this client and a while, so nobody keeps the answer
 * (distribution-spec, "Pulling blobs"; RFC 9110 section 15.4.8).
 */
export function replyElsewhere(ctx: Context, address: string, digest: Digest): void {
  ctx.respond = false
  ctx.res.writeHead(307, {
    Location: address,
    'Docker-Content-Digest': digest,
    'Cache-Control': 'no-store',
    'Content-Length': 0,
  })
  ctx.res.end()
}
