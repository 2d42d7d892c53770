/** The HTTP application: Koa around the table of routes, without any I/O of its own. */
import Router from '@koa/router'
import Koa, { type Context, type Next } from 'koa'
import type { AccessController, Grant } from '../auth/access.ts'
import { Failure } from '../oci/failure.ts'
import type { Registry } from '../registry/registry.ts'
import type { ClientAddress } from './client-address.ts'
import { parseCredentials } from './credentials.ts'
import type { Behaviour, Exchange, Health, RequestState } from './exchange.ts'
import type { AccessLog, Logger } from './log.ts'
import { logAccess } from './middleware/log-access.ts'
import { replyFailures } from './middleware/reply-failures.ts'
import { watchedAnswer } from './middleware/watched-answer.ts'
import { watchedBody } from './middleware/watched-body.ts'
import type { ProgressWatch } from './progress.ts'
import { type AccessRule, type Parameters, parseParameters, type Route } from './route.ts'
import { routes } from './routes.ts'

export interface AppParts {
  readonly registry: Registry
  readonly access: AccessController
  readonly behaviour: Behaviour
  readonly health: Health
  readonly log: Logger
  /** Nothing where the access log is switched off. */
  readonly accessLog: AccessLog | undefined
  readonly clientAddress: ClientAddress
  readonly progress: ProgressWatch
  /** Sent with every answer. */
  readonly headers: Readonly<Record<string, string | string[]>>
}

export function createApp(parts: AppParts): Koa {
  const app = new Koa()
  app.silent = true
  app.use(identify(parts.headers))
  app.use(logAccess(parts.accessLog, parts.clientAddress))
  app.use(replyFailures(parts.log))
  app.use(takePath)
  app.use(createRouter(parts).routes())
  app.use(refuseUnmatched(parts.behaviour.prefix))
  return app
}

/** Gives the request its id, and the answer the headers that all answers have. */
function identify(headers: AppParts['headers']) {
  const process = Math.random().toString(36).slice(2, 8)
  let count = 0
  const fixed = Object.entries({ 'X-Content-Type-Options': 'nosniff', ...headers })
  return (ctx: Context, next: Next): Promise<void> => {
    const state = ctx.state as RequestState
    state.id = `${process}-${(++count).toString(36)}`
    for (const [name, value] of fixed) ctx.res.setHeader(name, value)
    ctx.res.setHeader('Docker-Distribution-API-Version', 'registry/2.0')
    ctx.res.setHeader('X-Request-Id', state.id)
    return next()
  }
}

const origin = /^https?:\/\/[^/?#]+(?=[/?#]|$)/i

/** Of a target that is a whole URL the path counts (RFC 9112, 3.2.2); any other that is no path leads nowhere. */
function takePath(ctx: Context, next: Next): Promise<void> {
  const target = ctx.req.url ?? ''
  if (target.startsWith('/')) return next()
  const path = target.replace(origin, '')
  if (path === target) throw new Failure('route-unknown', { path: target.slice(0, 300) })
  ctx.req.url = path.startsWith('/') ? path : `/${path}`
  return next()
}

function createRouter(parts: AppParts): Router {
  const { prefix } = parts.behaviour
  const router = new Router({ sensitive: true, ...(prefix && { prefix }) })
  for (const row of routes) {
    const answer = (ctx: Context, next: Next): Promise<void> => dispatch(parts, row, ctx, next)
    // The router adds HEAD to GET by itself; rows of their own come first in the table.
    router.register(row.path, [row.method], answer as Handler)
  }
  return router
}

type Handler = globalThis.Parameters<Router['register']>[2]

async function dispatch(parts: AppParts, row: Route, ctx: Context, next: Next): Promise<void> {
  const { behaviour, registry, health, progress } = parts
  const found = row.pattern.exec(ctx.path.slice(behaviour.prefix.length))
  if (!found) return next()
  const parameters = parseParameters(found.groups)
  const query = new URLSearchParams(ctx.querystring)
  const grant = await authorize(parts.access, row, parameters, query, ctx)
  if (behaviour.readOnly && !isReading(row)) throw new Failure('read-only', {})
  const state = ctx.state as RequestState
  if (grant.identity !== undefined) state.identity = grant.identity
  const caller = {
    requestId: state.id,
    get signal() {
      return signalOf(ctx)
    },
    ...(grant.identity !== undefined && { identity: grant.identity }),
  }
  const body = () => watchedBody(ctx.req, progress)
  const watchAnswer = () => watchedAnswer(ctx.res, progress)
  const client = () => parts.clientAddress(ctx.req.socket.remoteAddress, ctx.get('x-forwarded-for') || undefined)
  const exchange: Exchange = { ctx, client, registry, behaviour, caller, query, health, body, watchAnswer }
  await row.handle(exchange, parameters as never, grant)
}

const isReading = ({ method }: Route): boolean => method === 'GET' || method === 'HEAD'
const nobody: Grant = { allows: () => false }

async function authorize(
  access: AccessController,
  row: Route,
  parameters: Partial<Parameters>,
  query: URLSearchParams,
  ctx: Context,
): Promise<Grant> {
  if (row.access.open) return nobody
  const rule = row.access as unknown as AccessRule<Partial<Parameters>>
  return access.authorize(parseCredentials(ctx.req.headers.authorization), rule.wanted(parameters, query))
}

/** Fires when the client leaves before its answer is complete. Made only for those who ask for it. */
function signalOf({ res }: Context): AbortSignal {
  const controller = new AbortController()
  if (res.destroyed) controller.abort()
  res.once('close', () => {
    if (!res.writableFinished) controller.abort()
  })
  return controller.signal
}

/** A known address with another method is 405 and says which there are; everything else is 404. */
function refuseUnmatched(prefix: string) {
  return (ctx: Context): never => {
    const path = ctx.path.startsWith(prefix) ? ctx.path.slice(prefix.length) : ''
    const allowed = routes.filter((row) => row.pattern.test(path)).map((row) => row.method)
    if (allowed.includes('GET') && !allowed.includes('HEAD')) allowed.push('HEAD')
    if (allowed.length === 0) throw new Failure('route-unknown', { path: ctx.path.slice(0, 300) })
    throw new Failure('method-unsupported', { method: ctx.method, allowed: [...new Set(allowed)] })
  }
}
