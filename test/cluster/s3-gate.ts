/** What stands before S3 and answers 503 in its place now and then, as S3 does where it is asked too much. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream'
import type { Address } from '../support/tcp-proxy.ts'

export interface S3Gate extends Address {
  /** Requests that were answered here. */
  readonly refused: number
  /** The share of requests that are refused from now on, from 0 to 1. */
  refuse(share: number): void
  /**
   * The share of requests that S3 does, and whose answer is lost. Whoever asked cannot know whether they were done.
   */
  lose(share: number): void
  stop(): Promise<void>
}

const slowDown =
  '<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>'

export async function startS3Gate(target: Address): Promise<S3Gate> {
  const state = { refused: 0, refusing: 0, losing: 0 }
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: 60_000 }, (incoming, outgoing) => {
    incoming.on('error', () => {})
    outgoing.on('error', () => {})
    if (Math.random() >= state.refusing) return pass(target, incoming, outgoing, () => Math.random() < state.losing)
    state.refused++
    incoming.resume()
    outgoing.writeHead(503, { 'content-type': 'application/xml', 'content-length': slowDown.length }).end(slowDown)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  server.unref()
  return {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    get refused() {
      return state.refused
    },
    refuse: (share) => void Object.assign(state, { refusing: share }),
    lose: (share) => void Object.assign(state, { losing: share }),
    async stop() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

function pass({ host, port }: Address, incoming: IncomingMessage, outgoing: ServerResponse, isLost: () => boolean) {
  const { method = 'GET', url = '/', rawHeaders } = incoming
  // With the headers as they were signed.
  const sent = request({ host, port, path: url, method, headers: rawHeaders as string[], setHost: false, agent: false })
  sent.on('response', (answer) => {
    if (isLost()) {
      answer.resume()
      breakOff(incoming)
      return
    }
    outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
    pipeline(answer, outgoing, (error) => {
      if (error) outgoing.destroy()
    })
  })
  sent.on('error', () => breakOff(incoming))
  outgoing.on('close', () => sent.destroy())
  incoming.pipe(sent)
}

/** A connection whose end was sent cannot be reset any more. */
function breakOff({ socket }: IncomingMessage): void {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}
