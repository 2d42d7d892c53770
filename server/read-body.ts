import { Failure } from '../oci/failure.ts'
import type { Exchange } from './exchange.ts'

/** A small body, whole; more than `limit` bytes are refused as soon as they are announced or counted. */
export async function readBody({ ctx, body }: Exchange, limit: number): Promise<Uint8Array> {
  if (Number(ctx.req.headers['content-length'] ?? 0) > limit) throw new Failure('manifest-too-large', { limit })
  const pieces: Uint8Array[] = []
  let received = 0
  const source = body()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onData = (piece: Uint8Array): void => {
    received += piece.length
    if (received > limit) reject(new Failure('manifest-too-large', { limit }))
    else pieces.push(piece)
  }
  const broken = (cause?: Error): void => reject(new Failure('body-broken', { received }, { cause }))
  source.on('data', onData).once('end', resolve).on('error', broken).once('close', broken)
  source.resume()
  try {
    await promise
  } finally {
    source.off('data', onData)
  }
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
}
