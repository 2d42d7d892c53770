/** A file that is being read. */
import fs from 'node:fs'
import type { Writable } from 'node:stream'
import type { ByteRange } from '../../../oci/range.ts'
import type { ObjectKey, OpenObject } from '../../driver.ts'
import * as calls from './calls.ts'
import { sendFile } from './send-file.ts'

export class OpenFile implements OpenObject {
  readonly size: number
  private readonly fd: number
  private readonly key: ObjectKey
  private closed = false

  constructor(fd: number, size: number, key: ObjectKey) {
    this.fd = fd
    this.size = size
    this.key = key
  }

  async send(sink: Writable, range: ByteRange = { start: 0, end: this.size - 1 }): Promise<void> {
    await calls.naming(this.key, sendFile(this.fd, range, sink))
  }

  async read(): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafeSlow(this.size)
    for (let position = 0; position < this.size; ) {
      const reading = calls.readAt(this.fd, bytes, position, this.size - position, position)
      const { bytesRead } = await calls.naming(this.key, reading)
      if (bytesRead === 0) throw new Error(`the object holds ${position} bytes instead of ${this.size}`)
      position += bytesRead
    }
    return bytes
  }

  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    fs.closeSync(this.fd)
  }
}
