import type { Context } from 'koa'
import type { StoredManifest } from '../../registry/registry.ts'
import { entityTag, isNotModified } from './conditions.ts'
import { endWith } from './end-with.ts'

/** A manifest, byte for byte, under exactly its own media type (distribution-spec, "Pulling manifests"). */
export function sendManifest(ctx: Context, manifest: StoredManifest, isImmutable: boolean): void {
  const { req, res } = ctx
  const headers = {
    'Docker-Content-Digest': manifest.digest,
    ETag: entityTag(manifest.digest),
    'Cache-Control': isImmutable ? 'private, max-age=31536000, immutable' : 'no-cache',
    Vary: 'Accept',
  }
  ctx.respond = false
  if (isNotModified(req.headers['if-none-match'], manifest.digest)) {
    res.writeHead(304, headers)
    res.end()
    return
  }
  res.writeHead(200, { ...headers, 'Content-Type': manifest.mediaType, 'Content-Length': manifest.bytes.length })
  if (req.method === 'HEAD') res.end()
  else endWith(res, manifest.bytes)
}
