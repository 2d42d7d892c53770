/**
 * What stands before several nodes: each request goes to the next one, also when requests share a connection.
 *
 *   client ══ one connection ══> proxy ──> node 1   first request
 *                                      ──> node 2   second
 *                                      ──> node 1   third …
 *
 * Bodies stream in both directions. A node that cannot be reached is passed over. One that was reached and then went away
 * may have done what it was asked, so that the answer is 502.
 */
import { once } from 'node:events'
import {
  type ClientRequest,
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream'

export interface Node {
  readonly host: string
  readonly port: number
}

export interface RoundRobin {
  readonly url: string
  /** `host:port`, as it stands in an image's name. */
  readonly host: string
  readonly port: number
  /** How many answers came from each port. */
  readonly served: ReadonlyMap<number, number>
  /** From the next request on. */
  replace(nodes: readonly Node[]): void
  stop(): Promise<void>
}

interface State {
  nodes: readonly Node[]
  turn: number
  readonly served: Map<number, number>
}

export async function startRoundRobin(nodes: readonly Node[]): Promise<RoundRobin> {
  const state: State = { nodes, turn: 0, served: new Map() }
  const serve = (incoming: IncomingMessage, outgoing: ServerResponse) => forward(state, incoming, outgoing)
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: 60_000 }, serve)
  server.on('checkContinue', serve)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  server.unref()
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    host: `127.0.0.1:${port}`,
    port,
    served: state.served,
    replace: (others) => void Object.assign(state, { nodes: others }),
    stop: () => stop(server),
  }
}

async function stop(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}

function forward(state: State, incoming: IncomingMessage, outgoing: ServerResponse): void {
  incoming.on('error', () => {})
  outgoing.on('error', () => {})
  const first = state.turn++
  const { nodes } = state
  tryNodes(
    state,
    nodes.flatMap((_, n) => nodes[(first + n) % nodes.length] ?? []),
    incoming,
    outgoing,
  )
}

function tryNodes(state: State, nodes: readonly Node[], incoming: IncomingMessage, outgoing: ServerResponse): void {
  const [node, ...others] = nodes
  if (!node) {
    refuse(outgoing)
    return
  }
  const sent = ask(node, incoming)
  let [isConnected, isAnswered] = [false, false]
  const leave = (): void => void sent.destroy()
  outgoing.once('close', leave)
  sent.on('socket', (socket) =>
    socket.once('connect', () => {
      isConnected = true
      sendBody(sent, incoming, outgoing)
    }),
  )
  sent.on('response', (answer) => {
    isAnswered = true
    state.served.set(node.port, (state.served.get(node.port) ?? 0) + 1)
    passBack(answer, incoming, outgoing)
  })
  sent.on('error', () => {
    outgoing.off('close', leave)
    // An answer that came before the whole request was sent is an answer; if it breaks, that shows in itself.
    if (isAnswered || outgoing.destroyed) return
    if (isConnected) refuse(outgoing)
    else tryNodes(state, others, incoming, outgoing)
  })
  // What nobody takes any more must not stop the next request of this connection.
  sent.on('close', () => isConnected && incoming.unpipe(sent).resume())
}

/** On a connection of its own, so that it is certain whether a node that went away has seen anything. */
function ask({ host, port }: Node, { method = 'GET', url = '/', rawHeaders }: IncomingMessage): ClientRequest {
  // A node that is told to close afterwards does so over what is still coming, and its early answer is lost with a reset.
  const headers = [...passedOn(rawHeaders), 'connection', 'keep-alive']
  return request({ host, port, path: url, method, headers, setHost: false, agent: false })
}

const isWithoutBody = ({ headers }: IncomingMessage): boolean =>
  headers['content-length'] === undefined && headers['transfer-encoding'] === undefined

/** Not a byte of it is read before there is somebody to take it. */
function sendBody(sent: ClientRequest, incoming: IncomingMessage, outgoing: ServerResponse): void {
  if (isWithoutBody(incoming)) {
    sent.end()
    return
  }
  const begin = (): void => {
    incoming.pipe(sent)
    incoming.once('close', () => incoming.complete || sent.destroy())
  }
  if (incoming.headers.expect === undefined) {
    begin()
    return
  }
  // The node decides whether it wants the body.
  sent.once('continue', () => {
    outgoing.writeContinue()
    begin()
  })
  sent.flushHeaders()
}

function passBack(answer: IncomingMessage, incoming: IncomingMessage, outgoing: ServerResponse): void {
  // A client that was told to wait, and then refused, may or may not send its body: nothing can follow on its connection.
  const isOver = incoming.headers.expect !== undefined && !incoming.complete
  const headers = [...passedOn(answer.rawHeaders), ...(isOver ? ['connection', 'close'] : [])]
  outgoing.writeHead(answer.statusCode ?? 502, answer.statusMessage ?? '', headers)
  outgoing.flushHeaders()
  pipeline(answer, outgoing, (error) => {
    if (error) outgoing.destroy()
  })
}

/** As they came, in pairs, but for those that speak of one connection only. */
function passedOn(rawHeaders: readonly string[]): string[] {
  const ofConnection = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'upgrade'])
  return rawHeaders.flatMap((name, n) =>
    n % 2 === 0 && !ofConnection.has(name.toLowerCase()) ? [name, rawHeaders[n + 1] ?? ''] : [],
  )
}

function refuse(outgoing: ServerResponse): void {
  outgoing.writeHead(502, { 'content-type': 'text/plain', connection: 'close' }).end('no node answered\n')
  outgoing.req.resume()
}
