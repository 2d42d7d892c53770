/** A wire that counts what is asked over it: SQL messages, or commands to Redis. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import type { Address } from '../support/tcp-proxy.ts'

export interface CountingWire extends Address {
  /** What was asked since it started, or since `forget`. */
  readonly asked: readonly string[]
  forget(): void
  stop(): Promise<void>
}

/** Given the bytes of one connection in pieces, tells what was asked in each. */
export type Reader = (piece: Buffer) => string[]

export async function startCountingWire(target: Address, createReader: () => Reader): Promise<CountingWire> {
  const asked: string[] = []
  const server = createServer((client) => {
    const far = connect({ ...target, noDelay: true })
    const read = createReader()
    client.setNoDelay(true).on('data', (piece: Buffer) => asked.push(...read(piece)))
    client.on('error', () => far.destroy()).on('close', () => far.destroy())
    far.on('error', () => client.destroy()).on('close', () => client.destroy())
    client.pipe(far).pipe(client)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  server.unref()
  return {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    asked,
    forget: () => void asked.splice(0),
    stop: async () => void server.close(),
  }
}

/** PostgreSQL's messages that ask for something: a simple query, and the execution of a prepared one. */
export function sqlReader(): Reader {
  let rest = Buffer.alloc(0)
  let isStarted = false
  const texts = new Map<string, string>()
  let bound = ''

  function take(type: string, body: Buffer): string[] {
    const [first = '', second = ''] = body.toString('latin1').split('\0', 2)
    if (type === 'Q') return [first]
    if (type === 'P') texts.set(first, second)
    if (type === 'B') bound = second
    return type === 'E' ? [texts.get(bound) ?? bound] : []
  }

  return (piece) => {
    rest = Buffer.concat([rest, piece])
    const found: string[] = []
    for (;;) {
      // The first message of a connection has no type.
      const start = isStarted ? 1 : 0
      if (rest.length < start + 4) return found
      const end = start + rest.readUInt32BE(start)
      if (rest.length < end) return found
      if (isStarted) found.push(...take(rest.toString('latin1', 0, 1), rest.subarray(5, end)))
      isStarted = true
      rest = rest.subarray(end)
    }
  }
}

/** Redis takes lists of strings, each with its length. */
export function redisReader(): Reader {
  let rest = Buffer.alloc(0)
  return (piece) => {
    rest = Buffer.concat([rest, piece])
    const found: string[] = []
    for (;;) {
      const command = readCommand(rest)
      if (!command) return found
      found.push(command.name)
      rest = rest.subarray(command.end)
    }
  }
}

function readCommand(bytes: Buffer): { name: string; end: number } | undefined {
  let at = 0
  const line = (): string | undefined => {
    const end = bytes.indexOf('\r\n', at)
    if (end < 0) return undefined
    const text = bytes.toString('latin1', at, end)
    at = end + 2
    return text
  }
  const count = line()
  if (count === undefined) return undefined
  let name = ''
  for (let n = 0; n < Number(count.slice(1)); n++) {
    const length = line()
    if (length === undefined) return undefined
    const end = at + Number(length.slice(1))
    if (bytes.length < end + 2) return undefined
    if (n === 0) name = bytes.toString('latin1', at, end)
    at = end + 2
  }
  return { name, end: at }
}
