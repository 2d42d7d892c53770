/**
 * A client to a file: pieces are observed (hashed) as they arrive and written in batches, the next batch gathering
 * beside the write of the current one. All receiving streams share one budget of memory, down to a smallest batch for
 * each; what a socket had read already when its stream was paused comes on top.
 */
import type { Readable } from 'node:stream'
import { writevAt } from './calls.ts'

const budget = 32 * 1024 * 1024
const largestBatch = 1024 * 1024
const smallestBatch = 16 * 1024
/** What a piece costs beside its bytes. Clients may send one byte at a time: pieces smaller than that are copied. */
const pieceOverhead = 512
const blockSize = 4096

let receiving = 0

export interface Received {
  /** Bytes that are in the file. */
  readonly size: number
  /** Why the source ended before its end, where it did. */
  readonly broken?: Error
}

/** Writes all of `source` at `position`. Rejects only when the file cannot be written. */
export async function receive(
  source: Readable,
  fd: number,
  position: number,
  observe: (piece: Uint8Array) => void,
): Promise<Received> {
  receiving++
  try {
    return await new Receiver(source, fd, position, observe).run()
  } finally {
    receiving--
  }
}

class Receiver {
  private pending: Uint8Array[] = []
  /** Of memory, more than the bytes of the pieces. */
  private pendingCost = 0
  /** Where small pieces are copied to, behind all that is pending. */
  private block: Uint8Array | undefined
  private blockUsed = 0
  private size = 0
  private writing = false
  private ended = false
  private broken: Error | undefined
  private readonly outcome = Promise.withResolvers<Received>()
  private readonly source: Readable
  private readonly fd: number
  private readonly position: number
  private readonly observe: (piece: Uint8Array) => void

  constructor(source: Readable, fd: number, position: number, observe: (piece: Uint8Array) => void) {
    this.source = source
    this.fd = fd
    this.position = position
    this.observe = observe
  }

  async run(): Promise<Received> {
    const { source } = this
    const onEnd = () => this.end()
    const onError = (error: Error) => this.end(error)
    const onClose = () => this.end(source.readableEnded ? undefined : new Error('the connection closed'))
    source.on('data', this.onData).once('end', onEnd).on('error', onError).once('close', onClose)
    if (source.readableEnded) onEnd()
    else if (source.destroyed) onClose()
    else source.resume()
    try {
      return await this.outcome.promise
    } finally {
      source.off('data', this.onData).off('end', onEnd).off('close', onClose)
      // The error listener stays: a request that breaks later must not end the process.
    }
  }

  private readonly onData = (piece: Uint8Array): void => {
    this.observe(piece)
    if (piece.length < pieceOverhead) this.copy(piece)
    else {
      this.sealBlock()
      this.pending.push(piece)
      this.pendingCost += piece.length + pieceOverhead
    }
    if (this.pendingCost < batchSize()) return
    if (this.writing) this.source.pause()
    else this.flush()
  }

  private copy(piece: Uint8Array): void {
    if (this.block && this.blockUsed + piece.length > blockSize) this.sealBlock()
    if (!this.block) {
      this.block = Buffer.allocUnsafeSlow(blockSize)
      this.pendingCost += blockSize
    }
    this.block.set(piece, this.blockUsed)
    this.blockUsed += piece.length
  }

  private sealBlock(): void {
    if (this.block) this.pending.push(this.block.subarray(0, this.blockUsed))
    this.block = undefined
    this.blockUsed = 0
  }

  private end(broken?: Error): void {
    if (this.ended) return
    this.ended = true
    this.broken = broken
    if (!this.writing) this.flush()
  }

  private flush(): void {
    this.sealBlock()
    if (this.pending.length === 0) {
      if (this.ended) this.outcome.resolve(this.broken ? { size: this.size, broken: this.broken } : { size: this.size })
      return
    }
    const batch = this.pending
    this.pending = []
    this.pendingCost = 0
    this.writing = true
    writeAll(this.fd, batch, this.position + this.size).then(
      (written) => {
        if (!this.source.readableObjectMode) batch.forEach(release)
        this.wrote(written)
      },
      (error) => {
        this.ended = true
        this.source.resume()
        this.outcome.reject(error)
      },
    )
  }

  private wrote(bytes: number): void {
    this.size += bytes
    this.writing = false
    if (this.ended || this.pendingCost >= batchSize()) this.flush()
    if (!this.ended && this.source.isPaused()) this.source.resume()
  }
}

function batchSize(): number {
  return Math.max(smallestBatch, Math.min(largestBatch, Math.floor(budget / 2 / Math.max(1, receiving))))
}

/** `writev` may write less than it was given. */
async function writeAll(fd: number, pieces: readonly Uint8Array[], position: number): Promise<number> {
  let rest = pieces
  let written = 0
  while (rest.length > 0) {
    const { bytesWritten } = await writevAt(fd, rest, position + written)
    written += bytesWritten
    rest = after(rest, bytesWritten)
  }
  return written
}

/**
 * Frees a piece's memory now. Left to the collector, what sockets read makes it mark the whole heap every few dozen
 * megabytes. Only where the piece is all of its memory: smaller ones share it with pieces that are still to come. And
 * only of byte streams: what an object stream hands out may be its maker's.
 */
function release({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength) buffer.transfer(0)
}

function after(pieces: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let skip = bytes
  for (const [index, piece] of pieces.entries()) {
    if (skip < piece.length) return [piece.subarray(skip), ...pieces.slice(index + 1)]
    skip -= piece.length
  }
  return []
}
