/** Small words that the storage cases are written in. */
import { randomFillSync } from 'node:crypto'
import { Readable, Writable } from 'node:stream'
import type { ObjectKey, Stage, StorageDriver } from '../../storage/driver.ts'

/** Every key of a case lies under `case/`, where it is cleared away afterwards. */
export const caseRoot = 'case' as ObjectKey
export const caseKey = (path: string): ObjectKey => `case/${path}` as ObjectKey

export const randomBytes = (length: number): Buffer => randomFillSync(Buffer.alloc(length))

export async function readBack(driver: StorageDriver, key: ObjectKey): Promise<Buffer | undefined> {
  const object = await driver.open(key)
  if (!object) return undefined
  try {
    return Buffer.from(await object.read())
  } finally {
    await object.close()
  }
}

export async function keysUnder(driver: StorageDriver, prefix: ObjectKey): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of driver.list(prefix)) keys.push(key)
  return keys.sort()
}

/** A sink that keeps what it gets and takes a turn of the event loop for each piece. */
export function collector(): { readonly sink: Writable; bytes(): Buffer } {
  const pieces: Buffer[] = []
  const sink = new Writable({
    highWaterMark: 1024,
    write(piece: Buffer, _encoding, done) {
      pieces.push(Buffer.from(piece))
      setImmediate(done)
    },
  })
  return { sink, bytes: () => Buffer.concat(pieces) }
}

/** A client that takes the first piece and then never asks for more. */
export function stuckSink(): Writable {
  return new Writable({ highWaterMark: 1, write: () => {} })
}

/** A body of copies: what is given to a driver becomes the driver's. */
export function bodyOf(...pieces: readonly Uint8Array[]): Readable {
  return Readable.from(
    pieces.map((piece) => Buffer.from(piece)),
    { objectMode: false },
  )
}

/** Delivers the pieces and then breaks. */
export function brokenBody(reason: Error, ...pieces: readonly Uint8Array[]): Readable {
  const rest = [...pieces]
  return new Readable({
    read() {
      const piece = rest.shift()
      if (piece) this.push(Buffer.from(piece))
      else this.destroy(reason)
    },
  })
}

export async function stageOf(driver: StorageDriver, key: ObjectKey, bytes: Uint8Array): Promise<Stage> {
  return (await driver.append(await driver.begin(key), bodyOf(bytes), () => {})).stage
}

export async function sealed(driver: StorageDriver, stage: Stage, key: ObjectKey): Promise<Buffer | undefined> {
  await driver.harden(stage)
  await driver.seal(stage, key)
  return readBack(driver, key)
}

/** Enough turns of the event loop for anything that needs no outside event. */
export async function severalTurns(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
}
