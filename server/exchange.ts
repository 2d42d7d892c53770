/** One request and its answer, as handlers see them. */
import type { IncomingMessage } from 'node:http'
import type { Context } from 'koa'
import type { Caller, Registry } from '../registry/registry.ts'

/** What of the configuration handlers must know. */
export interface Behaviour {
  /** Whether a client at this address may be sent to where the bytes are, instead of getting them from here. */
  readonly redirects: (client: string | undefined) => boolean
  readonly deleteEnabled: boolean
  readonly readOnly: boolean
  /** Bytes. */
  readonly maxManifestSize: number
  /** Entries in one page at most. */
  readonly maxCatalogPage: number
  readonly maxTagPage: number
  /** `https://host`, where addresses shall be absolute; else empty. */
  readonly origin: string
  /** `/prefix`, where everything lives below one; else empty. */
  readonly prefix: string
}

export interface Exchange {
  readonly ctx: Context
  /** Where the request comes from, behind proxies that are trusted. */
  readonly client: () => string
  readonly registry: Registry
  readonly behaviour: Behaviour
  readonly caller: Caller
  readonly query: URLSearchParams
  readonly health: Health
  /** The request's body, watched for progress. */
  readonly body: () => IncomingMessage
  /** From here on the answer's client must keep taking it. For answers that are long. */
  readonly watchAnswer: () => void
}

export interface Health {
  /** Why this node should get no traffic now; nothing when it can serve. */
  unready(): Promise<string | undefined>
  readonly draining: boolean
}

/** What is known of a request beside Koa's context; `ctx.state` holds nothing else. */
export interface RequestState {
  id: string
  identity?: string
}
