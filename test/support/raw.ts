/** HTTP by hand: bytes out as they are given, and replies read off the socket one by one. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface RawReply {
  readonly status: number
  /** The status line and the header lines, as they came. */
  readonly head: string
  readonly body: string
}

/** For a reply that never comes: the test fails with a sentence instead of standing still. */
const patienceMs = 30_000

export class RawConnection {
  readonly socket: Socket
  private received = Buffer.alloc(0)
  private closed = false
  private changed = Promise.withResolvers<void>()

  static async open(port: number): Promise<RawConnection> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    return new RawConnection(socket)
  }

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (piece: Buffer) => {
      this.received = Buffer.concat([this.received, piece])
      this.wake()
    })
    // A reset is one way for the server to end a connection.
    socket.on('error', () => {})
    socket.on('close', () => {
      this.closed = true
      this.wake()
    })
  }

  private wake(): void {
    const { changed } = this
    this.changed = Promise.withResolvers<void>()
    changed.resolve()
  }

  write(bytes: string | Uint8Array): this {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
    return this
  }

  /** The next whole reply, or nothing where the connection ended before one. `bodiless` for the answer to a HEAD. */
  async reply({ bodiless = false } = {}): Promise<RawReply | undefined> {
    for (;;) {
      const found = parseReply(this.received, bodiless)
      if (found) {
        this.received = this.received.subarray(found.length)
        return found.reply
      }
      if (this.closed) return undefined
      await this.change('a reply')
    }
  }

  /** Until the server ends the connection; gives whatever came beyond the replies that were read. */
  async end(): Promise<string> {
    while (!this.closed) await this.change('the end of the connection')
    return this.received.toString('latin1')
  }

  private async change(what: string): Promise<void> {
    const timer = setTimeout(() => this.socket.destroy(new Error(what)), patienceMs)
    const before = this.changed.promise
    await before
    clearTimeout(timer)
    if (this.socket.errored?.message === what) throw new Error(`waited ${patienceMs / 1000} s for ${what}`)
  }

  destroy(): void {
    this.socket.destroy()
  }
}

function parseReply(bytes: Buffer, bodiless: boolean): { reply: RawReply; length: number } | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n')
  if (headEnd < 0) return undefined
  const head = bytes.subarray(0, headEnd).toString('latin1')
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1])
  const start = headEnd + 4
  const announced = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0)
  const size = bodiless || status === 204 || status === 304 || status < 200 ? 0 : announced
  if (bytes.length < start + size) return undefined
  return { reply: { status, head, body: bytes.subarray(start, start + size).toString('latin1') }, length: start + size }
}

/** Sends bytes on a connection of their own and reads replies until there are `count`, or the server ends it. */
export async function exchange(port: number, bytes: string | Uint8Array, count = 1): Promise<RawReply[]> {
  const connection = await RawConnection.open(port)
  connection.write(bytes)
  const replies: RawReply[] = []
  while (replies.length < count) {
    const reply = await connection.reply()
    if (!reply) break
    replies.push(reply)
  }
  connection.destroy()
  return replies
}

/** Sends bytes and gives every reply until the server ends the connection, and nothing may come after them. */
export async function exchangeAll(port: number, bytes: string | Uint8Array): Promise<RawReply[]> {
  const connection = await RawConnection.open(port)
  connection.write(bytes)
  const replies: RawReply[] = []
  for (let reply = await connection.reply(); reply; reply = await connection.reply()) replies.push(reply)
  const rest = await connection.end()
  if (rest !== '') throw new Error(`the connection ended within a reply: ${rest.slice(0, 200)}`)
  return replies
}

/** A request with these lines; `Host` comes by itself unless the lines have one. */
export function requestText(first: string, lines: readonly string[] = [], body = ''): string {
  const host = lines.some((line) => /^host:/i.test(line)) ? [] : ['Host: registry.test']
  return [`${first} HTTP/1.1`, ...host, ...lines, '', body].join('\r\n')
}
