import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'

export type Exchange = { readonly method: string; readonly path: string; readonly status: number }
export type Recorder = {
  readonly host: string
  readonly url: string
  readonly exchanges: readonly Exchange[]
  readonly close: () => Promise<void>
}

/** A second door to a registry that notes every exchange, to see whether a client mounted or sent the bytes. */
export async function recordExchanges(target: { readonly port: number }): Promise<Recorder> {
  const exchanges: Exchange[] = []
  const server = createServer((incoming, outgoing) => forward(target.port, incoming, outgoing, exchanges))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port was given')
  const host = `127.0.0.1:${address.port}`
  return {
    host,
    url: `http://${host}`,
    exchanges,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** The blobs that were linked from another repository without sending their bytes. */
export function mounts(exchanges: readonly Exchange[]): Exchange[] {
  return exchanges.filter(({ method, path, status }) => method === 'POST' && path.includes('mount=') && status === 201)
}

/** The requests that brought bytes of blobs to a repository. */
export function transfers(exchanges: readonly Exchange[], repository: string): Exchange[] {
  const uploads = `/v2/${repository}/blobs/uploads/`
  return exchanges.filter(({ method, path, status }) => {
    return path.startsWith(uploads) && (method === 'PATCH' || method === 'PUT') && status < 300
  })
}

function forward(port: number, incoming: IncomingMessage, outgoing: ServerResponse, exchanges: Exchange[]): void {
  const { method = 'GET', url: path = '/', rawHeaders } = incoming
  const onward = request({ host: '127.0.0.1', port, method, path, headers: rawHeaders, setHost: false }, (answer) => {
    exchanges.push({ method, path, status: answer.statusCode ?? 0 })
    outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
    answer.pipe(outgoing)
  })
  onward.on('error', () => outgoing.destroy())
  incoming.pipe(onward)
}
