/**
 * Connections, made when somebody waits for one. A server that takes no more of them, is starting, or is not there, is
 * asked by one attempt at a time, and by each node at a moment of its own; whoever waits meanwhile is given what is freed.
 * All but one that are idle are given back soon: another node may be waiting for them.
 */
import type { Connection } from './connection.ts'
import { PostgresError } from './errors.ts'
import { createWaiting } from './waiting.ts'

export interface PoolOptions {
  readonly size: number
  connect(onEnd: () => void): Promise<Connection>
  /** The first of a row of failures to connect. */
  readonly onUnreachable?: ((error: Error) => void) | undefined
  readonly idleMs?: number
  readonly lifetimeMs?: number
  /** A server that has been away for so long: who comes then is told soon. */
  readonly awayMs?: number
}

export interface Pool {
  /** Fails when there is none until `deadline` (`Date.now()`). */
  use<T>(deadline: number, work: (connection: Connection) => Promise<T>): Promise<T>
  close(): Promise<void>
}

const longestPauseMs = 1000
const sweepMs = 500
/** The server has no more for us: others will have none either, and wait for what we do not need. */
const scarceMs = 30_000
const tooManyConnections = '53300'
const awayPatienceMs = 1000

export function createPool(options: PoolOptions): Pool {
  const { size, idleMs = 5000, lifetimeMs = 30 * 60_000, awayMs = 10_000 } = options
  const all = new Set<Connection>()
  const idle = new Map<Connection, number>()
  const waiting = createWaiting<Connection>()
  const outage = createOutage(awayMs)
  let opening = 0
  let isClosed = false
  let retry: NodeJS.Timeout | undefined
  let scarceUntil = 0
  const sweeping = setInterval(sweep, sweepMs).unref()

  function retire(connection: Connection): Promise<void> {
    all.delete(connection)
    idle.delete(connection)
    grow()
    return connection.close()
  }

  function release(connection: Connection): void {
    if (isClosed || connection.isBroken() || connection.bornAt + lifetimeMs < Date.now()) void retire(connection)
    else if (!waiting.give(connection)) idle.set(connection, Date.now())
  }

  function sweep(): void {
    const before = Date.now() - (Date.now() < scarceUntil ? sweepMs : idleMs)
    for (const [connection, since] of idle) if (since < before && all.size > 1) void retire(connection)
  }

  function grow(): void {
    if (isClosed) return
    const most = outage.isOver() ? waiting.size : Math.min(waiting.size, 1)
    while (!retry && opening < most && all.size + opening < size) void open()
  }

  async function open(): Promise<void> {
    let made: Connection | undefined
    opening++
    try {
      made = await options.connect(() => {
        // One in use is found to be broken when it is given back.
        if (made && idle.has(made)) void retire(made)
      })
      outage.end()
      all.add(made)
      release(made)
    } catch (error) {
      failed(error as PostgresError)
    } finally {
      opening--
    }
    grow()
  }

  function failed(error: PostgresError): void {
    if (outage.isOver()) options.onUnreachable?.(error)
    outage.add(error)
    if (error.code === tooManyConnections) scarceUntil = Date.now() + scarceMs
    if (error.trouble === 'refused') waiting.refuseAll(error)
    retry ??= setTimeout(() => {
      retry = undefined
      grow()
    }, outage.pauseMs())
  }

  function take(deadline: number): Promise<Connection> | Connection {
    for (const [connection] of [...idle].reverse()) {
      idle.delete(connection)
      return connection
    }
    const late = () => outage.error() ?? new PostgresError(`all ${size} connections are in use`, 'busy')
    const until = outage.isLong() && all.size === 0 ? Math.min(deadline, Date.now() + awayPatienceMs) : deadline
    const mine = waiting.wait(until, late)
    grow()
    return mine
  }

  return {
    async use(deadline, work) {
      const connection = await take(deadline)
      try {
        return await work(connection)
      } finally {
        release(connection)
      }
    },
    async close() {
      isClosed = true
      clearInterval(sweeping)
      clearTimeout(retry)
      waiting.refuseAll(new PostgresError('the database is being closed', 'busy'))
      await Promise.all([...all].map(retire))
    },
  }
}

/** Failures to connect in a row. */
function createOutage(awayMs: number) {
  let last: PostgresError | undefined
  let since = 0
  let failures = 0
  return {
    isOver: () => failures === 0,
    isLong: () => failures > 0 && since + awayMs < Date.now(),
    /** For whoever has waited enough: it is not to be tried again. */
    error: () => last && new PostgresError(last.message, 'busy'),
    add(error: PostgresError) {
      if (failures++ === 0) since = Date.now()
      last = error
    },
    end() {
      failures = 0
      last = undefined
    },
    pauseMs: () => Math.min(longestPauseMs, 25 * 2 ** failures) * (0.5 + Math.random()),
  }
}
