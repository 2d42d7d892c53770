// Replies of HTTP/1.1, read from one connection that carries one request at a time. Node's own client makes a stream,
// a dozen objects and a copy for every reply: with the client on the same cores as the server, that would be measured
// too. Here a body is passed on as views of the read buffer and never kept.

export type Reply = {
  readonly status: number
  /** Status line and headers as they came. */
  readonly head: string
  /** Bytes of body that came, without the framing of chunks. */
  readonly length: number
}

/** Sees each piece of a body with its offset. The bytes are overwritten afterwards. False: read nothing more now. */
export type BodyListener = (bytes: Buffer, offset: number) => boolean

type State = 'idle' | 'head' | 'sized' | 'until-close' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailer'

const HEAD_END = '\r\n\r\n'
const LONGEST_HEAD = 64 * 1024
const LINE_FEED = 10

export class ReplyParser {
  #state: State = 'idle'
  #method = 'GET'
  #onBody: BodyListener | undefined
  #partial = ''
  #head = ''
  #status = 0
  #left = 0
  #length = 0
  #reading = true

  expect(method: string, onBody: BodyListener | undefined): void {
    if (this.#state !== 'idle') throw new Error('a request was sent before the reply to the one before had ended')
    this.#state = 'head'
    this.#method = method
    this.#onBody = onBody
    this.#partial = ''
    this.#length = 0
  }

  get isDone(): boolean {
    return this.#state === 'idle'
  }

  get reply(): Reply {
    return { status: this.#status, head: this.#head, length: this.#length }
  }

  /** Takes what came. The answer is whether to go on reading. */
  feed(bytes: Buffer): boolean {
    this.#reading = true
    let at = 0
    while (at < bytes.length) at = this.#step(bytes, at)
    return this.#reading
  }

  /** The other side has closed. True when that ended the reply properly. */
  end(): boolean {
    if (this.#state !== 'until-close') return this.#state === 'idle'
    this.#state = 'idle'
    return true
  }

  #step(bytes: Buffer, at: number): number {
    switch (this.#state) {
      case 'idle':
        throw new Error('bytes came after the end of a reply')
      case 'head':
        return this.#takeHead(bytes, at)
      case 'sized':
      case 'chunk':
        return this.#takeCounted(bytes, at)
      case 'until-close':
        this.#pass(bytes, at, bytes.length)
        return bytes.length
      default:
        return this.#takeLine(bytes, at)
    }
  }

  #takeHead(bytes: Buffer, at: number): number {
    const end = this.#partial === '' ? bytes.indexOf(HEAD_END, at, 'latin1') : -1
    if (end >= 0) {
      this.#beginBody(bytes.toString('latin1', at, end + 2))
      return end + HEAD_END.length
    }
    const before = this.#partial.length
    this.#partial += bytes.toString('latin1', at, Math.min(bytes.length, at + LONGEST_HEAD))
    const whole = this.#partial.indexOf(HEAD_END)
    if (whole >= 0) {
      this.#beginBody(this.#partial.slice(0, whole + 2))
      this.#partial = ''
      return at + whole + HEAD_END.length - before
    }
    if (this.#partial.length > LONGEST_HEAD) throw new Error('the head of a reply has no end')
    return bytes.length
  }

  #beginBody(head: string): void {
    const status = Number(head.slice(9, 12))
    if (!head.startsWith('HTTP/1.') || !(status >= 100)) throw new Error(`not a reply: ${head.slice(0, 80)}`)
    if (status < 200) return
    this.#head = head
    this.#status = status
    this.#left = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? -1)
    if (this.#method === 'HEAD' || status === 204 || status === 304 || this.#left === 0) this.#state = 'idle'
    else if (/\r\ntransfer-encoding: *chunked/i.test(head)) this.#state = 'chunk-size'
    else this.#state = this.#left > 0 ? 'sized' : 'until-close'
  }

  #takeCounted(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#left)
    this.#pass(bytes, at, end)
    this.#left -= end - at
    if (this.#left === 0) this.#state = this.#state === 'chunk' ? 'chunk-end' : 'idle'
    return end
  }

  #takeLine(bytes: Buffer, at: number): number {
    const feed = bytes.indexOf(LINE_FEED, at)
    this.#partial += bytes.toString('latin1', at, feed < 0 ? bytes.length : feed)
    if (feed < 0) return bytes.length
    const line = this.#partial.trimEnd()
    this.#partial = ''
    this.#endLine(line)
    return feed + 1
  }

  #endLine(line: string): void {
    if (this.#state === 'chunk-end') {
      this.#state = 'chunk-size'
    } else if (this.#state === 'trailer') {
      if (line === '') this.#state = 'idle'
    } else {
      this.#left = Number.parseInt(line, 16)
      if (!(this.#left >= 0)) throw new Error(`not the length of a chunk: ${line.slice(0, 40)}`)
      this.#state = this.#left === 0 ? 'trailer' : 'chunk'
    }
  }

  #pass(bytes: Buffer, from: number, to: number): void {
    const offset = this.#length
    this.#length += to - from
    if (this.#onBody?.(bytes.subarray(from, to), offset) === false) this.#reading = false
  }
}

export function headerOf(reply: Reply, name: string): string | undefined {
  const head = reply.head.toLowerCase()
  const start = head.indexOf(`\r\n${name.toLowerCase()}:`)
  if (start < 0) return undefined
  const from = start + name.length + 3
  return reply.head.slice(from, reply.head.indexOf('\r\n', from)).trim()
}
