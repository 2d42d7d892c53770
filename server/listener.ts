/**
 * The socket: HTTP or HTTPS on an address or a Unix socket, its limits, its certificates, and its end. What the requests
 * mean is not known here.
 */
import { readFile, stat, unlink } from 'node:fs/promises'
import { createServer, type RequestListener, type Server, type ServerOptions, type ServerResponse } from 'node:http'
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https'
import { type AddressInfo, connect, Server as NetServer, type Socket } from 'node:net'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import type { Logger } from './log.ts'

export type ListenAddress = { readonly host?: string; readonly port: number } | { readonly path: string }

export interface TlsFiles {
  /** The certificate and the chain above it, PEM. */
  readonly certificate: string
  readonly key: string
  readonly minimum: 'tls1.2' | 'tls1.3'
  /** Where any is given, only clients with a certificate signed by one of them are served. */
  readonly clientAuthorities?: readonly string[]
}

export interface ListenerOptions {
  readonly address: ListenAddress
  readonly tls?: TlsFiles
  /** How often the certificate files are looked at. */
  readonly tlsPollMs?: number
  readonly limits?: Pick<ServerOptions, 'headersTimeout' | 'keepAliveTimeout' | 'connectionsCheckingInterval'>
  readonly onRequest: RequestListener
  readonly log: Pick<Logger, 'info' | 'error'>
}

export interface Listener {
  /** Where it listens, for people; `port` is nothing on a Unix socket. */
  readonly url: string
  readonly port: number | undefined
  /** Takes nothing new, lets what is under way finish for that long, then cuts it off. */
  close(drainMs: number): Promise<void>
}

const limits: ServerOptions = {
  // A body may take hours; `progress.ts` ends those that stand still.
  requestTimeout: 0,
  headersTimeout: 30_000,
  connectionsCheckingInterval: 5_000,
  // Longer than the idle time of common load balancers, or they send into a connection that is being closed.
  keepAliveTimeout: 75_000,
  maxHeaderSize: 64 * 1024,
  insecureHTTPParser: false,
  noDelay: true,
  // Finds peers that vanished in the middle of a long download.
  keepAlive: true,
  keepAliveInitialDelay: 60_000,
}
const handshakeTimeout = 30_000
/** For what is nearly over. */
const lingerMs = 500

export async function listen(options: ListenerOptions): Promise<Listener> {
  const { tls, log, address } = options
  const settings = { ...limits, ...options.limits }
  // The version first: files that change while they are read show as changed at the next look.
  const version = tls && (await versionOf(filesOf(tls)))
  const server = tls
    ? createSecureServer({ ...settings, handshakeTimeout, ...(await readTls(tls)) })
    : createServer(settings)
  const traffic = trackTraffic(server, options.onRequest)
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    answerClientError(error, socket as Socket, traffic.answers)
  })
  await bind(server, address)
  const reload = tls && reloader(server as SecureServer, tls, version ?? '', log)
  const watching = reload && setInterval(reload, options.tlsPollMs ?? 5_000).unref()
  return {
    url: describe(server, address, tls ? 'https' : 'http'),
    port: 'port' in address ? (server.address() as AddressInfo).port : undefined,
    close(drainMs) {
      clearInterval(watching)
      return traffic.drain(drainMs)
    },
  }
}

interface Traffic {
  readonly answers: ReadonlySet<ServerResponse>
  drain(drainMs: number): Promise<void>
}

/** What is under way, so that the end can wait for it and only then cut off the rest. */
function trackTraffic(server: Server, onRequest: RequestListener): Traffic {
  const connections = trackConnections(server)
  const answers = new Set<ServerResponse>()
  let drained: Promise<void> | undefined

  server.on('request', (request, answer) => {
    const { socket } = request
    connections.begin(socket)
    answers.add(answer)
    // Node then says `Connection: close` by itself; as a header it would be lost where an answer is started over.
    if (drained) answer.shouldKeepAlive = false
    answer.once('close', () => {
      answers.delete(answer)
      const idle = connections.finish(socket)
      if (drained && idle) socket.destroy()
      if (drained) cutOffSoon()
    })
    onRequest(request, answer)
  })

  /** Where nothing is under way, what is left has not yet sent a whole request; it gets a moment to do so. */
  function cutOffSoon(): void {
    if (answers.size === 0) setTimeout(() => answers.size === 0 && connections.destroyAll(), lingerMs).unref()
  }

  async function drain(drainMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      // Not the `close` of the HTTP server: to that a connection is idle as soon as its answer was ended, and it cuts
      // off the bytes which a slow reader has not yet taken.
      NetServer.prototype.close.call(server, () => resolve())
    })
    for (const answer of answers) answer.shouldKeepAlive = false
    connections.destroyIdle()
    cutOffSoon()
    const deadline = setTimeout(connections.destroyAll, drainMs)
    await closed
    clearTimeout(deadline)
    // Nothing is open any more; this ends the timer that looked after headers.
    server.close()
  }

  return { answers, drain: (drainMs) => (drained ??= drain(drainMs)) }
}

interface Connections {
  begin(socket: Socket): void
  /** Whether nothing is under way any more. */
  finish(socket: Socket): boolean
  /** Those that have been used and have nothing under way. */
  destroyIdle(): void
  destroyAll(): void
}

function trackConnections(server: Server): Connections {
  // During a TLS handshake a connection is known here only.
  const sockets = new Set<Socket>()
  const underWay = new Map<Socket, number>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  return {
    begin(socket) {
      const before = underWay.get(socket)
      if (before === undefined) socket.once('close', () => underWay.delete(socket))
      underWay.set(socket, (before ?? 0) + 1)
    },
    finish(socket) {
      const left = (underWay.get(socket) ?? 1) - 1
      if (underWay.has(socket)) underWay.set(socket, left)
      return left === 0
    },
    destroyIdle() {
      for (const [socket, requests] of underWay) if (requests === 0) socket.destroy()
    },
    destroyAll() {
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** What Node's parser refused before there was a request: how it is told. */
const clientErrors: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
}
const told = new WeakSet<Socket>()

function answerClientError(error: NodeJS.ErrnoException, socket: Socket, answers: ReadonlySet<ServerResponse>): void {
  if (told.has(socket)) return
  const code = error.code ?? ''
  // Anything else is a broken connection or a failed handshake; nobody there understands an answer.
  const tellable = (code.startsWith('HPE_') && code !== 'HPE_INVALID_EOF_STATE') || code in clientErrors
  const underWay = [...answers].filter((answer) => answer.req.socket === socket)
  const begun = underWay.some((answer) => answer.headersSent && !answer.req.complete)
  if (!tellable || begun || !socket.writable) {
    socket.destroy()
    return
  }
  told.add(socket)
  const tell = () => tellLast(socket, clientErrors[code] ?? '400 Bad Request')
  // What came whole before it is answered first, or its client would take this for the answer.
  const before = underWay.findLast((answer) => answer.req.complete)
  if (before) before.once('close', tell)
  else tell()
}

function tellLast(socket: Socket, status: string): void {
  if (socket.writable) socket.end(rawAnswer(status))
  // Destroyed at once, bytes the client is still sending would reset the connection before it has read the answer.
  setTimeout(() => socket.destroy(), lingerMs).unref()
}

function rawAnswer(status: string): string {
  const message = status.slice(4).toLowerCase()
  const body = JSON.stringify({ errors: [{ code: 'UNSUPPORTED', message }] })
  const head = [
    `HTTP/1.1 ${status}`,
    'Connection: close',
    'Content-Type: application/json',
    'Docker-Distribution-Api-Version: registry/2.0',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ]
  return `${head.join('\r\n')}\r\n\r\n${body}`
}

async function bind(server: Server, address: ListenAddress): Promise<void> {
  if ('path' in address) await removeStaleSocket(address.path)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(address, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** A crash leaves its socket behind. One that nobody answers is removed; one in use makes listening fail. */
async function removeStaleSocket(path: string): Promise<void> {
  const stats = await stat(path).catch(() => undefined)
  if (!stats?.isSocket()) return
  const refused = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => resolve(false))
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'))
    probe.once('connect', () => probe.destroy())
  })
  if (refused) await unlink(path)
}

function describe(server: Server, address: ListenAddress, scheme: string): string {
  if ('path' in address) return `${scheme}+unix:${address.path}`
  const bound = server.address() as AddressInfo
  // On all addresses: the one that always leads here, and that docker takes without TLS.
  if (bound.address === '::' || bound.address === '0.0.0.0') return `${scheme}://127.0.0.1:${bound.port}`
  return `${scheme}://${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`
}

/** Fails where the files do not belong together. */
async function readTls(tls: TlsFiles): Promise<SecureContextOptions> {
  const [cert, key, ...ca] = await Promise.all(filesOf(tls).map((path) => readFile(path)))
  const secure = {
    cert,
    key,
    minVersion: tls.minimum === 'tls1.3' ? 'TLSv1.3' : 'TLSv1.2',
    ...(ca.length > 0 && { ca, requestCert: true, rejectUnauthorized: true }),
  } as const
  createSecureContext(secure)
  return secure
}

/** Polled, not watched: a renewed certificate often comes as a new link target, which file watchers do not see. */
function reloader(
  server: SecureServer,
  tls: TlsFiles,
  version: string,
  log: ListenerOptions['log'],
): () => Promise<void> {
  let known = version
  return async () => {
    const found = await versionOf(filesOf(tls))
    if (found === known) return
    // A pair is written one file after the other; between the two it does not match, and the second change mends it.
    known = found
    try {
      server.setSecureContext(await readTls(tls))
      log.info({ certificate: tls.certificate }, 'the TLS certificate was read again')
    } catch (err) {
      log.error({ certificate: tls.certificate, err }, 'the new TLS certificate cannot be used; the one before stays')
    }
  }
}

function filesOf({ certificate, key, clientAuthorities = [] }: TlsFiles): readonly string[] {
  return [certificate, key, ...clientAuthorities]
}

async function versionOf(paths: readonly string[]): Promise<string> {
  const versions = paths.map(async (path) => {
    const { ino, size, mtimeNs } = await stat(path, { bigint: true })
    return `${ino} ${size} ${mtimeNs}`
  })
  return (await Promise.all(versions.map((version) => version.catch(() => 'missing')))).join(', ')
}
