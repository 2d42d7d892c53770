/** Requests on a few connections that stay open: thousands of small questions cost half as much. */
import { Agent, request } from 'node:http'
import type { Asked, Reply, Send } from '../support/client.ts'

export interface KeptAlive {
  readonly send: Send
  close(): void
}

export function keepAlive(base: string, connections: number): KeptAlive {
  const { hostname, port } = new URL(base)
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const send = (method: string, path: string, { headers = {}, body }: Asked = {}): Promise<Reply> => {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>()
    const outgoing = request({ hostname, port, path, method, headers, agent }, (answer) => {
      const pieces: Buffer[] = []
      answer.on('data', (piece: Buffer) => pieces.push(piece))
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, bytes: Buffer.concat(pieces) }),
      )
      answer.on('error', reject)
    })
    outgoing.on('error', reject)
    if (body !== undefined && typeof body !== 'string' && !(body instanceof Uint8Array)) throw new Error('no streams')
    outgoing.end(body)
    return promise
  }
  return { send, close: () => agent.destroy() }
}
