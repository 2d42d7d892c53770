import type { Digest } from '../../oci/digest.ts'
import { Failure } from '../../oci/failure.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import type { RepositoryName } from '../../oci/name.ts'
import type { Exchange } from '../exchange.ts'
import { replyElsewhere } from '../replies/elsewhere.ts'
import { replyEmpty } from '../replies/empty.ts'
import { sendBlob, sendBlobHead } from '../replies/send-blob.ts'

interface Named {
  readonly name: RepositoryName
  readonly digest: Digest
}

const direct = { method: 'GET', contentType: mediaTypes.octetStream } as const

/** The file is not opened, and never redirected to. */
export async function head({ ctx, registry, caller }: Exchange, { name, digest }: Named): Promise<void> {
  const blob = await registry.repository(name, caller).blobs.stat(digest)
  sendBlobHead(ctx, blob)
}

export async function get(exchange: Exchange, { name, digest }: Named): Promise<void> {
  const { ctx, registry, caller, behaviour, client } = exchange
  const { blobs } = registry.repository(name, caller)
  const address = behaviour.redirects(client()) ? await blobs.address(digest, direct) : undefined
  if (address !== undefined) return replyElsewhere(ctx, address, digest)
  const blob = await blobs.open(digest)
  try {
    // What is in memory already is small, and given to the connection at once.
    if (!blob.bytes) exchange.watchAnswer()
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
