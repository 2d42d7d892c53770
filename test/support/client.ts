/** A small client of the registry's API: one function an endpoint, and every header exactly as it is given. */
import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http'
import type { Readable } from 'node:stream'

export interface Asked {
  readonly headers?: OutgoingHttpHeaders
  /** Bytes go out with their length, a stream in HTTP chunks. */
  readonly body?: Uint8Array | string | Readable
}

export interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly bytes: Buffer
}

export type Send = (method: string, path: string, asked?: Asked) => Promise<Reply>

export type Client = ReturnType<typeof createClient>

/** `base` is the registry's URL, with its prefix where it has one. */
export function createClient(base: string, send: Send = sender(base)) {
  return {
    send,
    check: (asked?: Asked) => send('GET', '/v2/', asked),
    ...contentCalls(send),
    ...uploadCalls(send),
    listTags: (name: string, query = '', asked?: Asked) => send('GET', `/v2/${name}/tags/list${query}`, asked),
    listReferrers: (name: string, digest: string, query = '', asked?: Asked) =>
      send('GET', `/v2/${name}/referrers/${digest}${query}`, asked),
    listCatalog: (query = '', asked?: Asked) => send('GET', `/v2/_catalog${query}`, asked),
    discover: (asked?: Asked) => send('GET', '/v2/_oci/ext/discover', asked),
    discoverIn: (name: string, asked?: Asked) => send('GET', `/v2/${name}/_oci/ext/discover`, asked),
    pingSearch: (asked?: Asked) => send('GET', '/v1/_ping', asked),
    search: (query = '', asked?: Asked) => send('GET', `/v1/search${query}`, asked),
    root: (asked?: Asked) => send('GET', '/', asked),
    live: (asked?: Asked) => send('GET', '/healthz', asked),
    ready: (asked?: Asked) => send('GET', '/readyz', asked),
  }
}

function contentCalls(send: Send) {
  return {
    headBlob: (name: string, digest: string, asked?: Asked) => send('HEAD', `/v2/${name}/blobs/${digest}`, asked),
    getBlob: (name: string, digest: string, asked?: Asked) => send('GET', `/v2/${name}/blobs/${digest}`, asked),
    deleteBlob: (name: string, digest: string, asked?: Asked) => send('DELETE', `/v2/${name}/blobs/${digest}`, asked),
    headManifest: (name: string, reference: string, asked?: Asked) =>
      send('HEAD', `/v2/${name}/manifests/${reference}`, asked),
    getManifest: (name: string, reference: string, asked?: Asked) =>
      send('GET', `/v2/${name}/manifests/${reference}`, asked),
    putManifest: (name: string, reference: string, asked?: Asked) =>
      send('PUT', `/v2/${name}/manifests/${reference}`, asked),
    deleteManifest: (name: string, reference: string, asked?: Asked) =>
      send('DELETE', `/v2/${name}/manifests/${reference}`, asked),
  }
}

/** All but the first go to the address that the first one was answered with. */
function uploadCalls(send: Send) {
  return {
    startUpload: (name: string, query = '', asked?: Asked) => send('POST', `/v2/${name}/blobs/uploads/${query}`, asked),
    uploadStatus: (location: string, asked?: Asked) => send('GET', location, asked),
    appendUpload: (location: string, asked?: Asked) => send('PATCH', location, asked),
    commitUpload: (location: string, digest: string, asked?: Asked) =>
      send('PUT', `${location}${location.includes('?') ? '&' : '?'}digest=${digest}`, asked),
    cancelUpload: (location: string, asked?: Asked) => send('DELETE', location, asked),
  }
}

/** A connection of its own for each request, so that no test sees what another one did to a connection. */
function sender(base: string): Send {
  const { hostname, port, pathname } = new URL(base)
  const prefix = pathname === '/' ? '' : pathname
  return (method, path, { headers = {}, body } = {}) => {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>()
    // Not as a URL, which would resolve `..` before it is sent.
    const target = { hostname, port, path: `${prefix}${path}` }
    const outgoing = request({ ...target, method, headers, agent: false }, (answer) => {
      const pieces: Buffer[] = []
      answer.on('data', (piece: Buffer) => pieces.push(piece))
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, bytes: Buffer.concat(pieces) }),
      )
      answer.on('error', reject)
    })
    outgoing.on('error', reject)
    if (body === undefined) outgoing.end()
    else if (typeof body === 'string' || body instanceof Uint8Array) outgoing.end(body)
    else body.pipe(outgoing)
    return promise
  }
}

/** A header that must be there, once. */
export function header({ headers }: Reply, name: string): string {
  const value = headers[name]
  if (typeof value !== 'string') throw new Error(`the answer has no single header ${name}: ${JSON.stringify(headers)}`)
  return value
}

export function jsonOf<T>({ bytes }: Reply): T {
  return JSON.parse(bytes.toString()) as T
}

/** Where `Link: <...>; rel="next"` leads. */
export function nextLink({ headers }: Reply): string | undefined {
  const link = headers['link']
  if (link === undefined) return undefined
  const match = /^<([^>]+)>; rel="next"$/.exec(String(link))
  if (!match?.[1]) throw new Error(`not a link to the next page: ${link}`)
  return match[1]
}
