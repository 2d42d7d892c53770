/**
 * A wire that can be cut: it passes bytes on between a client and a server, and does to them what a network may.
 *
 *   client ──> proxy (slow, silent, refusing, cut) ──> PostgreSQL, Redis, S3
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { Transform, type TransformCallback } from 'node:stream'

export interface Address {
  readonly host: string
  readonly port: number
}

export interface TcpProxy extends Address {
  /** Connections that are open now, and that ever were. */
  readonly open: number
  readonly accepted: number
  /** How long each piece takes on the way, in each direction. */
  delay(ms: number): void
  /** Nothing comes through any more and nobody is told, as where a cable is pulled. */
  drop(): void
  /** New connections are refused, as where nobody listens; those that are open go on. */
  refuse(): Promise<void>
  /** Breaks all open connections with a reset. */
  cut(): void
  /** Everything as in the beginning; what was dropped meanwhile breaks. */
  heal(): Promise<void>
  stop(): Promise<void>
}

interface Link {
  readonly client: Socket
  readonly server: Socket
}

interface State {
  delayMs: number
  isDropping: boolean
}

export async function startTcpProxy(target: Address): Promise<TcpProxy> {
  const state: State = { delayMs: 0, isDropping: false }
  const links = new Set<Link>()
  let accepted = 0
  const server = createServer({ allowHalfOpen: true }, (client) => {
    accepted += 1
    link(client, target, state, links)
  })
  const port = await listen(server, 0)
  const cut = (): void => {
    for (const { client, server: far } of links) for (const socket of [client, far]) reset(socket)
  }
  const refuse = async (): Promise<void> => {
    if (!server.listening) return
    // Closed at once; its event waits for the connections, which may stay.
    server.close()
    while (server.listening) await new Promise(setImmediate)
  }
  return {
    host: '127.0.0.1',
    port,
    get open() {
      return links.size
    },
    get accepted() {
      return accepted
    },
    delay: (ms) => void Object.assign(state, { delayMs: ms }),
    drop: () => void Object.assign(state, { isDropping: true }),
    refuse,
    cut,
    async heal() {
      // Bytes that were lost are missing in the middle: such a connection can only break.
      if (state.isDropping) cut()
      Object.assign(state, { delayMs: 0, isDropping: false })
      if (!server.listening) await listen(server, port)
    },
    async stop() {
      await refuse()
      cut()
    },
  }
}

async function listen(server: Server, port: number): Promise<number> {
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  server.unref()
  return (server.address() as AddressInfo).port
}

function link(client: Socket, target: Address, state: State, links: Set<Link>): void {
  const server = connect({ ...target, noDelay: true, allowHalfOpen: true })
  client.setNoDelay(true)
  const made: Link = { client, server }
  links.add(made)
  for (const [here, there] of [
    [client, server],
    [server, client],
  ] as const) {
    // An orderly end goes the way of the bytes.
    here.on('error', () => state.isDropping || reset(there))
    here.on('close', () => {
      if (there.destroyed) links.delete(made)
    })
  }
  client.pipe(wire(state)).pipe(server)
  server.pipe(wire(state)).pipe(client)
}

/** One direction. Pieces stay in order, however long each takes; while they get lost, so does the end. */
function wire(state: State): Transform {
  return new Transform({
    transform(piece: Buffer, _encoding, done: TransformCallback) {
      if (state.isDropping) done()
      else if (state.delayMs === 0) done(null, piece)
      else setTimeout(() => (state.isDropping ? done() : done(null, piece)), state.delayMs)
    },
    flush: (done) => state.isDropping || done(),
  })
}

/** A reset after an end is refused by the system, and Node would wait for the end of that handle for ever. */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}
