import type { Digest } from '../../oci/digest.ts'
import { Failure } from '../../oci/failure.ts'
import type { RepositoryName } from '../../oci/name.ts'
import type { Exchange } from '../exchange.ts'
import { replyEmpty } from '../replies/empty.ts'
import { blobHeaders, sendBlob } from '../replies/send-blob.ts'

interface Named {
  readonly name: RepositoryName
  readonly digest: Digest
}

/** Answers from facts alone: the file is not opened, and never redirected to. */
export async function head({ ctx, registry, caller }: Exchange, { name, digest }: Named): Promise<void> {
  const blob = await registry.repository(name, caller).blobs.stat(digest)
  ctx.respond = false
  ctx.res.writeHead(200, { ...blobHeaders(blob), 'Content-Length': blob.size })
  ctx.res.end()
}

export async function get({ ctx, registry, caller }: Exchange, { name, digest }: Named): Promise<void> {
  const blob = await registry.repository(name, caller).blobs.open(digest)
  try {
    await sendBlob(ctx, blob)
  } finally {
    await blob.close()
  }
}

export async function remove(exchange: Exchange, { name, digest }: Named): Promise<void> {
  const { ctx, registry, caller, behaviour } = exchange
  if (!behaviour.deleteEnabled) throw new Failure('deletion-disabled', {})
  await registry.repository(name, caller).blobs.delete(digest)
  replyEmpty(ctx, 202)
}
