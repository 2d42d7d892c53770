import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type BodyListener, headerOf, type Reply, ReplyParser } from './reply-parser.ts'

/** A body as it goes out: `chunked` parts carry their own framing already. */
export type Body = { readonly size: number | 'chunked'; readonly parts: Iterable<Buffer> }

export type Ask = {
  readonly method: string
  readonly path: string
  /** Further header lines, each ended by CRLF. */
  readonly headers?: string
  readonly body?: Body
  readonly onBody?: BodyListener
}

const READ_BUFFER = 256 * 1024
const SILENCE_MS = 60_000

/** One connection to a server on this machine, kept alive, with one request in flight. */
export class Connection {
  readonly #port: number
  readonly #readBuffer: Buffer
  readonly #parser = new ReplyParser()
  #socket: Socket | undefined
  #waiting: PromiseWithResolvers<Reply> | undefined

  constructor(port: number, readBuffer = READ_BUFFER) {
    this.#port = port
    this.#readBuffer = Buffer.allocUnsafe(readBuffer)
  }

  async open(): Promise<Socket> {
    if (this.#socket !== undefined) return this.#socket
    const socket = connect({ host: '127.0.0.1', port: this.#port, noDelay: true, onread: this.#reading() })
    socket.setTimeout(SILENCE_MS, () => this.#fail(socket, new Error(`silent for ${SILENCE_MS / 1000} s`)))
    await once(socket, 'connect')
    socket.on('error', (error) => this.#fail(socket, error))
    socket.on('end', () => this.#ended(socket))
    socket.on('close', () => this.#fail(socket, new Error('the server closed the connection')))
    this.#socket = socket
    return socket
  }

  async request(ask: Ask): Promise<Reply> {
    const socket = this.#socket ?? (await this.open())
    this.#parser.expect(ask.method, ask.onBody)
    const waiting = Promise.withResolvers<Reply>()
    this.#waiting = waiting
    socket.cork()
    socket.write(this.#headOf(ask), 'latin1')
    if (ask.body === undefined) socket.uncork()
    else this.#send(socket, ask.body.parts).catch((error: Error) => this.#fail(socket, error))
    return waiting.promise
  }

  /** Goes on reading after a listener of a body has asked to stop. */
  resume(): void {
    this.#socket?.resume()
  }

  close(): void {
    if (this.#socket !== undefined) this.#fail(this.#socket, new Error('closed by this side'))
  }

  #headOf({ method, path, headers, body }: Ask): string {
    const start = `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1:${this.#port}\r\n${headers ?? ''}`
    if (body?.size === 'chunked') return `${start}Transfer-Encoding: chunked\r\n\r\n`
    if (body === undefined && (method === 'GET' || method === 'HEAD' || method === 'DELETE')) return `${start}\r\n`
    return `${start}Content-Length: ${body?.size ?? 0}\r\n\r\n`
  }

  /** The socket comes corked, so that a head and a small body leave in one packet. */
  async #send(socket: Socket, parts: Iterable<Buffer>): Promise<void> {
    for (const part of parts) {
      if (this.#waiting === undefined || socket.destroyed) break
      if (socket.write(part)) continue
      const drained = Promise.withResolvers<void>()
      socket.once('drain', drained.resolve)
      socket.once('close', drained.resolve)
      socket.uncork()
      await drained.promise
      socket.off('close', drained.resolve)
      socket.cork()
    }
    socket.uncork()
  }

  #reading() {
    const buffer = this.#readBuffer
    return { buffer, callback: (size: number): boolean => this.#take(buffer.subarray(0, size)) }
  }

  #take(bytes: Buffer): boolean {
    try {
      const goOn = this.#parser.feed(bytes)
      if (this.#parser.isDone) this.#answer()
      return goOn
    } catch (error) {
      if (this.#socket !== undefined) this.#fail(this.#socket, error instanceof Error ? error : new Error(`${error}`))
      return false
    }
  }

  #answer(): void {
    const { reply } = this.#parser
    const waiting = this.#waiting
    this.#waiting = undefined
    if (headerOf(reply, 'connection')?.toLowerCase() === 'close') this.#drop()
    waiting?.resolve(reply)
  }

  #ended(socket: Socket): void {
    if (this.#socket !== socket) return
    if (this.#waiting !== undefined && this.#parser.end()) this.#answer()
    this.#drop()
  }

  #drop(): void {
    const socket = this.#socket
    this.#socket = undefined
    socket?.destroy()
  }

  #fail(socket: Socket, error: Error): void {
    socket.destroy()
    if (this.#socket !== socket) return
    this.#socket = undefined
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.reject(error)
  }
}
