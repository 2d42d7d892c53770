/**
 * A client to S3. Bytes are observed (hashed) as they arrive and gathered into parts, whose memory is paid from the
 * budget before any byte of them is read. What fits into one part becomes one object; see `stage.ts`.
 *
 * ```
 *  body ──► current part ──full──► held back ──more than a smallest part follows──► on its way (a few at once)
 *                                     │
 *                                     └──less follows, then the end──► both as one part
 * ```
 *
 * So an upload that came in one request needs no tail: none of its parts is too small to be followed by others. Where
 * memory is short nothing is held back, and whoever keeps others waiting with a part that does not get full puts it down
 * as it is, as a tail if need be.
 */
import type { Readable } from 'node:stream'
import type { Appended, Arrival, ObjectKey, Stage } from '../../driver.ts'
import type { Block, Blocks } from './blocks.ts'
import { type Bucket, slow } from './bucket.ts'
import { abort, create } from './multipart.ts'
import { put } from './objects.ts'
import { createParts, type Parts, partSizeFor } from './parts.ts'
import { freePiece, type Pieces, piecesOf } from './pieces.ts'
import { type Base, reopen } from './reopen.ts'
import { readThrough } from './send.ts'
import { mebibyte, smallestPart } from './settings.ts'
import { newTailName, type Part, runsOf, type State, sizeOf, stageWith, stateOf, tailKey } from './stage.ts'

/** A part that is not full is put down after so long, where others wait for memory. */
const patienceMs = 5_000
const keptEvery = 64 * mebibyte

export async function append(
  bucket: Bucket,
  blocks: Blocks,
  stage: Stage,
  source: Readable,
  observe: (piece: Uint8Array) => void,
  arrival: Arrival = {},
): Promise<Appended> {
  return new Receiver(bucket, blocks, stage, source, observe, arrival).run()
}

class Receiver {
  private readonly bucket: Bucket
  private readonly blocks: Blocks
  private readonly stage: Stage
  private readonly source: Readable
  private readonly observe: (piece: Uint8Array) => void
  private readonly arrival: Arrival
  private readonly pieces: Pieces
  private base: Base | undefined
  private tail: State['tail']
  private readonly stale: string[] = []
  /** Parts that were recorded before. */
  private before: readonly Part[] = []
  private parts: Parts | undefined
  private held: Block | undefined
  private current: Block | undefined
  private heldSince = 0
  private hasGrown = false
  private keptSize = 0

  constructor(
    bucket: Bucket,
    blocks: Blocks,
    stage: Stage,
    source: Readable,
    observe: (piece: Uint8Array) => void,
    arrival: Arrival,
  ) {
    this.bucket = bucket
    this.blocks = blocks
    this.stage = stage
    this.source = source
    this.observe = observe
    this.arrival = arrival
    this.pieces = piecesOf(source)
  }

  async run(): Promise<Appended> {
    const watch = setInterval(() => this.makeRoom(), patienceMs / 5)
    watch.unref()
    try {
      await this.begin()
      const broken = await this.receive()
      if (broken && this.isOnDestination) return await this.giveUp(broken)
      const stage = this.hasGrown ? await this.end(broken) : this.stage
      return broken ? { stage, broken } : { stage }
    } catch (error) {
      this.pieces.drop()
      await this.abandon()
      throw error
    } finally {
      clearInterval(watch)
      this.held?.free(true)
      this.current?.free(true)
    }
  }

  private async begin(): Promise<void> {
    const { multipart, parts, base, tail, stale } = await reopen(this.bucket, this.stage)
    this.before = parts
    this.base = base
    this.tail = tail
    this.stale.push(...stale)
    if (multipart) this.parts = createParts(this.bucket, multipart, parts)
  }

  /** Until the source ends; returns why, where it broke. */
  private async receive(): Promise<Error | undefined> {
    this.current = await this.takeBlock()
    for (;;) {
      let piece: Awaited<ReturnType<Pieces['next']>>
      try {
        piece = await this.pieces.next()
      } catch (error) {
        return error as Error
      }
      if (piece === undefined) return undefined
      if (piece === 'nudged') await this.putDown()
      else await this.gather(piece)
    }
  }

  private async gather(piece: Uint8Array): Promise<void> {
    this.observe(piece)
    this.hasGrown ||= piece.length > 0
    for (let rest = piece; rest.length > 0; ) {
      this.current ??= await this.takeBlock()
      if (this.base) await this.readBack(this.base)
      rest = rest.subarray(this.current.fill(rest))
      if (this.held && this.current.filled >= smallestPart) await this.submitHeld()
      if (this.current.filled < this.current.size) continue
      if (this.held) await this.submitHeld()
      this.held = this.current
      this.current = undefined
    }
    freePiece(piece, this.source)
  }

  /** Waits for memory, and holds none meanwhile. */
  private async takeBlock(): Promise<Block> {
    const count = (this.parts ? (this.parts.finished().at(-1)?.number ?? 0) : 0) + 1
    const size = Math.max(partSizeFor(this.bucket.settings.chunkSize, count), this.base?.size ?? 0)
    let block = this.blocks.tryTake(size)
    if (!block) {
      if (this.held) await this.submitHeld()
      block = await this.blocks.take(size)
    }
    this.heldSince = Date.now()
    return block
  }

  private async readBack({ key, size }: Base): Promise<void> {
    const { current } = this
    await readThrough(this.bucket, { key }, { start: 0, end: size - 1 }, (piece) => void current?.fill(piece))
    if (current?.filled !== size) throw new Error(`${key} does not hold the ${size} bytes that the upload left there`)
    this.base = undefined
    if (this.tail) this.stale.push(this.tail.name)
    this.tail = undefined
  }

  private async submitHeld(): Promise<void> {
    if (!this.held) return
    this.parts ??= await this.beginParts()
    await this.parts.submit(this.takeHeld())
    await this.tellKept()
  }

  private async beginParts(): Promise<Parts> {
    const { destination } = this.arrival
    const multipart = await create(this.bucket, destination ?? this.stage.key)
    const parts = createParts(this.bucket, multipart, [])
    // Nobody would find it under a final key: whoever clears up after this upload must know of it.
    if (destination) {
      this.parts = parts
      await this.arrival.kept?.(stageWith({ ...this.stage }, { ...stateOf(this.stage), begun: multipart }))
    }
    return parts
  }

  private get isOnDestination(): boolean {
    return this.parts !== undefined && this.parts.multipart.key !== this.stage.key
  }

  private async tellKept(): Promise<void> {
    if (!this.arrival.kept || !this.parts || this.isOnDestination) return
    const finished = this.parts.finished()
    const size = sizeOf(finished)
    if (size - Math.max(this.keptSize, sizeOf(this.before)) < keptEvery) return
    this.keptSize = size
    await this.arrival.kept(stageWith(this.stage, this.stateWith(finished, undefined)))
  }

  /** Called beside the rest: whoever waits for the client is woken up to put down what it has. */
  private makeRoom(): void {
    const isHolding = this.current !== undefined || this.held !== undefined
    if (isHolding && this.blocks.budget.isShort && Date.now() - this.heldSince >= patienceMs) this.pieces.nudge()
  }

  private async putDown(): Promise<void> {
    if (this.held) await this.submitHeld()
    const block = this.current
    if (!block) return
    this.current = undefined
    if (block.filled >= smallestPart) {
      this.held = block
      return this.submitHeld()
    }
    if (block.filled === 0) return block.free(true)
    await this.putTail(block)
    this.base = this.tail && { key: tailKey(this.stage, this.tail.name), size: this.tail.size }
  }

  private async putTail(block: Block): Promise<void> {
    block.close()
    const size = block.filled
    const name = newTailName(size)
    await this.putBlock(tailKey(this.stage, name), block)
    this.tail = { name, size }
  }

  private async putBlock(key: ObjectKey, block: Block): Promise<void> {
    let isQuiet = false
    try {
      isQuiet = await put(this.bucket, key, block.content(), slow)
    } finally {
      block.free(isQuiet)
    }
  }

  private async end(broken: Error | undefined): Promise<Stage> {
    // A rest that is too small to be followed by others joins the part before it.
    if (this.held && this.current) this.held.absorb(this.current)
    this.held ??= this.current
    this.current = undefined
    const filled = this.held?.filled ?? 0
    // All of it was put down while somebody else needed the memory.
    if (!this.parts && filled === 0 && this.tail) return stageWith(this.stage, this.stateWith([], this.tail))
    if (!this.parts && filled < this.bucket.settings.chunkSize + smallestPart) return this.endSmall(broken)
    if (filled >= smallestPart) await this.submitHeld()
    else if (filled > 0) await this.putTail(this.takeHeld())
    const parts = (await this.parts?.settle()) ?? []
    return stageWith(this.stage, this.stateWith(parts, this.tail))
  }

  /** All bytes of the stage are in one block. */
  private async endSmall(broken: Error | undefined): Promise<Stage> {
    const { destination } = this.arrival
    const mayPlace = !broken && (destination !== undefined || this.stage.size === 0)
    this.held?.close()
    const key = mayPlace ? await this.arrival.place?.() : undefined
    const block = this.takeHeld()
    if (key === undefined) {
      await this.putTail(block)
      return stageWith(this.stage, this.stateWith([], this.tail))
    }
    const size = block.filled
    await this.putBlock(key, block)
    return stageWith(this.stage, { ...this.stateWith([], undefined), placed: { key, size } })
  }

  private takeHeld(): Block {
    const block = this.held
    if (!block) throw new Error('there is no part')
    this.held = undefined
    return block
  }

  private stateWith(parts: readonly Part[], tail: State['tail']): State {
    const multipart = parts.length > 0 && this.parts?.multipart
    return {
      ...(multipart && {
        multipart: {
          id: multipart.id,
          ...(multipart.key !== this.stage.key && { destination: multipart.key }),
          runs: runsOf(parts),
        },
      }),
      ...(tail && { tail }),
      ...(this.stale.length > 0 && { stale: this.stale }),
    }
  }

  /** Parts on a final key cannot be read back, so another node could not check them: this request must come again. */
  private async giveUp(broken: Error): Promise<Appended> {
    await this.parts?.settle().catch(() => {})
    await this.abandon()
    return { stage: this.stage, broken }
  }

  /** What nobody was told of is not left behind, where that can be helped. */
  private async abandon(): Promise<void> {
    const { parts } = this
    if (!parts) return
    await parts.settle().catch(() => {})
    const isOurs = this.before.length === 0 && this.keptSize === 0
    if (isOurs) await abort(this.bucket, parts.multipart).catch(() => {})
  }
}
