/** Objects in memory: for tests and demonstrations. Nothing survives the process. */
import type { Readable, Writable } from 'node:stream'
import { type ByteRange, lengthOf } from '../../oci/range.ts'
import type {
  Appended,
  Child,
  LeftStage,
  ObjectInfo,
  ObjectKey,
  OpenObject,
  Stage,
  StorageDriver,
  WriteOptions,
} from '../driver.ts'
import { sendBytes } from '../sink.ts'

interface Held {
  readonly bytes: Uint8Array
  readonly modifiedAt: number
}

export class MemoryDriver implements StorageDriver {
  readonly name = 'inmemory'
  readonly reach = 'local'
  private readonly objects = new Map<ObjectKey, Held>()
  private readonly clock: () => number

  constructor(clock: () => number = Date.now) {
    this.clock = clock
  }

  async stat(key: ObjectKey): Promise<ObjectInfo | undefined> {
    const held = this.objects.get(key)
    return held && infoOf(key, held)
  }

  async open(key: ObjectKey): Promise<OpenObject | undefined> {
    const held = this.objects.get(key)
    return held && openBytes(held.bytes)
  }

  async write(key: ObjectKey, content: Uint8Array, options: WriteOptions = {}): Promise<void> {
    const copy = Uint8Array.from(content)
    await options.after
    this.keep(key, copy)
  }

  async delete(key: ObjectKey): Promise<void> {
    this.objects.delete(key)
  }

  async *list(prefix: ObjectKey): AsyncIterable<ObjectInfo> {
    for (const [key, held] of [...this.objects]) {
      if (key.startsWith(`${prefix}/`)) yield infoOf(key, held)
    }
  }

  /** There are no folders: what keys have between two slashes is one. */
  async *children(prefix: ObjectKey): AsyncIterable<Child> {
    const kinds = new Map<string, Child['kind']>()
    for (const key of this.objects.keys()) {
      if (!key.startsWith(`${prefix}/`)) continue
      const [name = '', below] = key.slice(prefix.length + 1).split('/', 2)
      kinds.set(name, below === undefined ? 'object' : 'folder')
    }
    for (const [name, kind] of kinds) yield { name, kind }
  }

  async flush(): Promise<void> {}

  async space(): Promise<undefined> {}

  async place(): Promise<undefined> {}

  async begin(key: ObjectKey): Promise<Stage> {
    return { key, size: 0 }
  }

  async append(stage: Stage, bytes: Readable, observe: (piece: Uint8Array) => void): Promise<Appended> {
    const pieces: Uint8Array[] = [this.bytesOf(stage.key).subarray(0, stage.size)]
    let broken: Error | undefined
    try {
      for await (const piece of bytes) {
        observe(piece)
        pieces.push(Uint8Array.from(piece))
      }
    } catch (error) {
      broken = error instanceof Error ? error : new Error(String(error))
    }
    const whole = Buffer.concat(pieces)
    this.keep(stage.key, whole)
    const grown = { ...stage, size: whole.length }
    return broken ? { stage: grown, broken } : { stage: grown }
  }

  async inspect(stage: Stage): Promise<Stage> {
    const size = this.bytesOf(stage.key).length
    return size < stage.size ? { ...stage, size } : stage
  }

  async reread(stage: Stage, observe: (piece: Uint8Array) => void): Promise<void> {
    const bytes = this.bytesOf(stage.key).subarray(0, stage.size)
    if (bytes.length > 0) observe(bytes)
  }

  async harden(stage: Stage): Promise<void> {
    this.keep(stage.key, this.bytesOf(stage.key).subarray(0, stage.size))
  }

  async seal(stage: Stage, key: ObjectKey): Promise<ObjectKey> {
    const held = this.objects.get(stage.key)
    if (!held) throw new Error(`there is no upload at ${stage.key}`)
    this.objects.set(key, held)
    this.objects.delete(stage.key)
    return key
  }

  async discard(stage: Stage): Promise<void> {
    this.objects.delete(stage.key)
  }

  async *staged(prefix: ObjectKey): AsyncIterable<LeftStage> {
    for await (const { key, size, modifiedAt } of this.list(prefix)) yield { stage: { key, size }, modifiedAt }
  }

  async sweep(): Promise<void> {}
  async probe(): Promise<void> {}
  async close(): Promise<void> {}

  private keep(key: ObjectKey, bytes: Uint8Array): void {
    this.objects.set(key, { bytes, modifiedAt: this.clock() })
  }

  private bytesOf(key: ObjectKey): Uint8Array {
    return this.objects.get(key)?.bytes ?? new Uint8Array()
  }
}

function infoOf(key: ObjectKey, { bytes, modifiedAt }: Held): ObjectInfo {
  return { key, size: bytes.length, modifiedAt }
}

function openBytes(bytes: Uint8Array): OpenObject {
  return {
    size: bytes.length,
    send: (sink: Writable, range: ByteRange = { start: 0, end: bytes.length - 1 }) =>
      sendBytes(sink, bytes.subarray(range.start, range.start + lengthOf(range))),
    read: async () => bytes,
    close: async () => {},
  }
}
