/**
 * One node's link to Redis: two connections, one for commands and one to listen on, and the knowledge whether anybody
 * answers.
 *
 * ```
 *            no connection, or no answer in time
 * reachable ─────────────────────────────────────► away: every command fails at once
 *     ▲                                              │
 *     └──────────── a look each second is answered ◄─┘
 * ```
 *
 * A server that is silent costs one wait; after it nobody waits until it speaks again. Errors of the library carry the
 * commands they belong to, passwords among them: nothing but their text leaves this file, without any password.
 */
import type { Cluster, Redis } from 'ioredis'
import { within } from '../patience.ts'
import { type Commands, connectForCommands, connectForListening, type RedisSettings } from './client.ts'
import { createEars } from './ears.ts'

export class RedisAway extends Error {}

export interface RedisWatch {
  /** Called at each change, not at each failure. */
  readonly onAway?: (reason: string) => void
  readonly onBack?: () => void
  /** Redis answers, but refuses a command: no rights, no memory. Not more than once in a minute. */
  readonly onRefusal?: (reason: string) => void
}

export interface RedisLink {
  readonly node: string
  readonly prefix: string
  isReachable(): boolean
  isClosed(): boolean
  /** `RedisAway` where no answer comes. Whether the command was carried out is unknown then. */
  run<T>(command: (redis: Commands) => Promise<T>, withinMs?: number): Promise<T>
  listen(channel: string, heard: (text: string) => void): () => void
  /** Resolves when the first connection is there, or has failed. */
  opened(): Promise<void>
  close(): Promise<void>
}

const lookEveryMs = 1_000
const refusalsEveryMs = 60_000
/** More commands than these are not under way with a server that works. */
const mostUnderWay = 10_000
const late = Symbol('late')

export function openLink(settings: RedisSettings, watch: RedisWatch): RedisLink {
  const node = crypto.randomUUID()
  const connection = connectForCommands(settings)
  const ears = createEars(connectForListening(settings), `${settings.prefix}node/${node}`)
  const standing = createStanding(connection, watch, plainText(settings))
  let isClosed = false
  let underWay = 0

  async function send<T>(command: (redis: Commands) => Promise<T>, withinMs: number): Promise<T> {
    underWay++
    const answer = (async () => command(connection as unknown as Commands))().finally(() => underWay--)
    const found = await within(answer, withinMs, late).catch((error: unknown) => {
      throw standing.failed(error)
    })
    if (found === late) throw standing.silent(`no answer within ${withinMs} ms`)
    standing.answered()
    return found
  }

  async function look(): Promise<void> {
    standing.review()
    if (connection.status !== 'ready' || underWay >= mostUnderWay || standing.answeredWithin(lookEveryMs)) return
    await send((redis) => redis.publish(`${settings.prefix}look`, ''), settings.commandTimeoutMs).catch(() => {})
  }
  const looking = setInterval(look, lookEveryMs)
  looking.unref()

  return {
    node,
    prefix: settings.prefix,
    isReachable: standing.isReachable,
    isClosed: () => isClosed,
    async run(command, withinMs = settings.commandTimeoutMs) {
      if (isClosed) throw new RedisAway('closed')
      if (!standing.isReachable()) throw new RedisAway(standing.reason())
      if (underWay >= mostUnderWay) throw new RedisAway('too many commands are under way')
      return send(command, withinMs)
    },
    listen: ears.listen,
    async opened() {
      await within(Promise.all([firstState(connection), ears.ready()]), settings.connectTimeoutMs, undefined)
      standing.review()
    },
    async close() {
      isClosed = true
      clearInterval(looking)
      standing.close()
      ears.close()
      connection.disconnect()
    },
  }
}

/** Whether anybody answers, why not, and whom to tell of it. */
function createStanding(connection: Redis | Cluster, watch: RedisWatch, tell: (error: Error) => string) {
  let isSilent = false
  let isClosed = false
  let wasReachable: boolean | undefined
  let reason = 'no connection yet'
  let answeredAt = Number.NEGATIVE_INFINITY
  let refusedAt = Number.NEGATIVE_INFINITY

  const isReachable = () => connection.status === 'ready' && !isSilent

  function review(): void {
    if (isClosed || wasReachable === isReachable()) return
    // Before the first connection there is nothing to come back from.
    const isFirst = wasReachable === undefined
    wasReachable = isReachable()
    if (!wasReachable) watch.onAway?.(reason)
    else if (!isFirst) watch.onBack?.()
  }

  function answered(): void {
    isSilent = false
    answeredAt = performance.now()
    review()
  }

  function silent(why: string): RedisAway {
    isSilent = true
    reason = why
    review()
    return new RedisAway(why)
  }

  function refuse(why: string): void {
    if (performance.now() - refusedAt < refusalsEveryMs) return
    refusedAt = performance.now()
    watch.onRefusal?.(why)
  }

  function failed(error: unknown): RedisAway {
    const why = error instanceof Error ? tell(error) : 'unknown'
    if (why === 'Command timed out') return silent('no answer in time')
    if (error instanceof Error && error.name === 'ReplyError') {
      answered()
      refuse(why)
    } else reason = why
    review()
    return new RedisAway(why)
  }

  on(connection, ['ready'], answered)
  on(connection, ['close', 'end'], review)
  on(connection, ['error'], (error) => {
    if (error instanceof Error) reason = tell(error)
  })

  return {
    isReachable,
    review,
    answered,
    silent,
    failed,
    reason: () => reason,
    answeredWithin: (ms: number) => !isSilent && performance.now() - answeredAt < ms,
    close(): void {
      isClosed = true
    },
  }
}

/** A server and a cluster tell the same events, each under a type of its own. */
function on(connection: Redis | Cluster, events: readonly string[], told: (what?: unknown) => void): void {
  for (const event of events) (connection as Redis).on(event, told)
}

function firstState(connection: Redis | Cluster): Promise<void> {
  return new Promise((resolve) => {
    on(connection, ['ready', 'close', 'end'], () => resolve())
  })
}

/** An error's text, and nothing else of it. */
function plainText(settings: RedisSettings): (error: Error) => string {
  const secrets = [settings.password, settings.sentinel?.password].filter(
    (secret) => secret !== undefined && secret !== '',
  )
  return ({ message }) => secrets.reduce<string>((text, secret) => text.replaceAll(secret ?? '', '***'), message)
}
