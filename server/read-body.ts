import { Failure } from '../oci/failure.ts'
import type { Exchange } from './exchange.ts'

/** A small body, whole; more than `limit` bytes are refused as soon as they are announced or counted. */
export async function readBody({ ctx, body }: Exchange, limit: number): Promise<Uint8Array> {
  const announced = ctx.req.headers['content-length']
  if (Number(announced ?? 0) > limit) throw new Failure('manifest-too-large', { limit })
  const gathered = gather(announced === undefined ? limit : Number(announced))
  let received = 0
  const source = body()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onData = (piece: Uint8Array): void => {
    received += piece.length
    if (received > limit) reject(new Failure('manifest-too-large', { limit }))
    else gathered.add(piece)
  }
  const broken = (cause?: Error): void => reject(new Failure('body-broken', { received }, { cause }))
  source.on('data', onData).once('end', resolve).on('error', broken).once('close', broken)
  source.resume()
  try {
    await promise
  } finally {
    source.off('data', onData)
  }
  return gathered.bytes()
}

/**
 * Copies pieces into a buffer that grows with what came, up to `expected` bytes: clients may send a byte at a time, and
 * kept pieces cost hundreds. One piece alone, which is the usual case, is not copied.
 */
function gather(expected: number): { add(piece: Uint8Array): void; bytes(): Uint8Array } {
  let buffer: Uint8Array = new Uint8Array()
  let size = 0
  return {
    add(piece) {
      const grown = size + piece.length
      if (size === 0) buffer = piece
      else {
        if (grown > buffer.length) {
          const larger = Buffer.allocUnsafeSlow(Math.max(grown, Math.min(expected, grown * 2)))
          larger.set(buffer.subarray(0, size))
          buffer = larger
        }
        buffer.set(piece, size)
      }
      size = grown
    },
    bytes: () => buffer.subarray(0, size),
  }
}
