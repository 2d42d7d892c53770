/** Objects in memory: for tests and demonstrations. Nothing survives the process. */
import type { Readable, Writable } from 'node:stream'
import { type ByteRange, lengthOf } from '../../oci/range.ts'
import type { Appended, ObjectInfo, ObjectKey, OpenObject, Stage, StorageDriver, WriteOptions } from '../driver.ts'
import { sendBytes } from '../sink.ts'

export class MemoryDriver implements StorageDriver {
  readonly name = 'inmemory'
  private readonly objects = new Map<ObjectKey, Uint8Array>()

  async stat(key: ObjectKey): Promise<ObjectInfo | undefined> {
    const bytes = this.objects.get(key)
    return bytes && { key, size: bytes.length }
  }

  async open(key: ObjectKey): Promise<OpenObject | undefined> {
    const bytes = this.objects.get(key)
    return bytes && openBytes(bytes)
  }

  async write(key: ObjectKey, content: Uint8Array, options: WriteOptions = {}): Promise<void> {
    const copy = Uint8Array.from(content)
    await options.after
    this.objects.set(key, copy)
  }

  async delete(key: ObjectKey): Promise<void> {
    this.objects.delete(key)
  }

  async *list(prefix: ObjectKey): AsyncIterable<ObjectInfo> {
    for (const [key, bytes] of [...this.objects]) {
      if (key.startsWith(`${prefix}/`)) yield { key, size: bytes.length }
    }
  }

  async flush(): Promise<void> {}

  async begin(key: ObjectKey): Promise<Stage> {
    return { key, size: 0 }
  }

  async append(stage: Stage, bytes: Readable, observe: (piece: Uint8Array) => void): Promise<Appended> {
    const pieces: Uint8Array[] = [(this.objects.get(stage.key) ?? new Uint8Array()).subarray(0, stage.size)]
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
    this.objects.set(stage.key, whole)
    const grown = { ...stage, size: whole.length }
    return broken ? { stage: grown, broken } : { stage: grown }
  }

  async inspect(stage: Stage): Promise<Stage> {
    const size = this.objects.get(stage.key)?.length ?? 0
    return size < stage.size ? { ...stage, size } : stage
  }

  async reread(stage: Stage, observe: (piece: Uint8Array) => void): Promise<void> {
    const bytes = this.objects.get(stage.key)?.subarray(0, stage.size)
    if (bytes && bytes.length > 0) observe(bytes)
  }

  async harden(stage: Stage): Promise<void> {
    const bytes = this.objects.get(stage.key) ?? new Uint8Array()
    this.objects.set(stage.key, bytes.subarray(0, stage.size))
  }

  async seal(stage: Stage, key: ObjectKey): Promise<void> {
    const bytes = this.objects.get(stage.key)
    if (!bytes) throw new Error(`there is no upload at ${stage.key}`)
    this.objects.set(key, bytes)
    this.objects.delete(stage.key)
  }

  async discard(stage: Stage): Promise<void> {
    this.objects.delete(stage.key)
  }

  async sweep(): Promise<void> {}
  async probe(): Promise<void> {}
  async close(): Promise<void> {}
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
