/**
 * Who is here: one connection of its own for each node, for as long as it lives. The server forgets a node with its
 * connection, which the system closes with the process, however that ends.
 *
 * ```
 * STARTING  held by the one that starts     others wait for their turn
 * PRESENT   shared by everybody who serves   whoever is the only one is the first
 * ```
 *
 * It also brings the server's time: claims are compared between nodes, whose own clocks may be hours apart.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { toConnectError } from './errors.ts'

/** Of advisory locks (`classid`), beside those of transactions. */
const space = 0x6265_7274
const starting = 1
const present = 2
const clockEveryMs = 30_000
const againAfterMs = 2000
const connectMs = 5000
const clockQuery = 'select extract(epoch from clock_timestamp())::float8 * 1000 as now'
/** How long a start waits for a server that goes away meanwhile. */
const startMs = 30_000

export interface Presence {
  /**
   * Runs `work` while no other node starts. `alone`: nobody else serves this store now; with `staysAlone` nobody can come
   * from then on, until this one closes.
   */
  starting<T>(work: (alone: boolean) => Promise<T>, staysAlone?: boolean): Promise<T>
  /** The server's time, in milliseconds since 1970. */
  clock(): number
  close(): Promise<void>
}

export async function openPresence(url: string, onLost: (error: Error) => void = () => {}): Promise<Presence> {
  let closing = false
  let isPresent = false
  let offset = 0
  const patience = performance.now() + startMs
  let client = await untilConnected(patience)
  await readClock()
  // A connection that does not answer is none: the server may have forgotten this node already.
  const timer = setInterval(() => void readClock().catch(() => client.end().catch(() => {})), clockEveryMs).unref()

  async function connect(): Promise<pg.Client> {
    const next = new pg.Client({
      connectionString: url,
      fallback_application_name: 'berth presence',
      connectionTimeoutMillis: connectMs,
      keepAlive: true,
      keepAliveInitialDelayMillis: 5000,
    })
    next.on('error', () => {})
    try {
      await next.connect()
    } catch (error) {
      next.end().catch(() => {})
      throw toConnectError(error)
    }
    next.once('end', () => {
      if (closing) return
      onLost(new Error('the connection that says that this node is here has ended: it is made again'))
      void comeBack()
    })
    return next
  }

  async function untilConnected(deadline: number): Promise<pg.Client> {
    for (;;) {
      try {
        return await connect()
      } catch (error) {
        if (closing || performance.now() > deadline) throw error
        await sleep(againAfterMs, undefined, { ref: false })
      }
    }
  }

  /** Whoever starts meanwhile may believe that it is alone, and must do no harm by that. */
  async function comeBack(): Promise<void> {
    try {
      client = await untilConnected(Number.POSITIVE_INFINITY)
      if (isPresent) await lock('pg_advisory_lock_shared', present)
    } catch {
      // It has ended again, and says so by itself; or this node is closing.
    }
  }

  /** Its turn, and whether it is alone; again where the server goes away meanwhile, for as long as a start may take. */
  async function takePlace(staysAlone: boolean): Promise<boolean> {
    for (;;) {
      try {
        await lock('pg_advisory_lock', starting)
        if (staysAlone) return await lock('pg_try_advisory_lock', present)
        await lock('pg_advisory_lock_shared', present)
        return (await countPresent()) === 1
      } catch (error) {
        if (performance.now() > patience) throw toConnectError(error)
        await sleep(againAfterMs, undefined, { ref: false })
      }
    }
  }

  async function lock(name: string, what: number): Promise<boolean> {
    const { rows } = await client.query(`select ${name}(${space}, ${what}) as done`)
    return rows[0].done !== false
  }

  async function countPresent(): Promise<number> {
    const { rows } = await client.query(
      `select count(*)::int as nodes from pg_locks join pg_database on pg_database.oid = pg_locks.database
       where locktype = 'advisory' and granted and classid = ${space} and objid = ${present}
         and datname = current_database()`,
    )
    return rows[0].nodes
  }

  async function readClock(): Promise<void> {
    const before = performance.now()
    const { rows } = await client.query({ text: clockQuery, query_timeout: connectMs } as pg.QueryConfig)
    const after = performance.now()
    offset = rows[0].now - (before + after) / 2
  }

  return {
    async starting(work, staysAlone = false) {
      const alone = await takePlace(staysAlone)
      isPresent = true
      try {
        return await work(alone)
      } finally {
        // A connection that has ended has let go already.
        await lock('pg_advisory_unlock', starting).catch(() => {})
      }
    },
    // Of this process's own clock only the pace counts: whoever sets it changes nothing.
    clock: () => Math.floor(offset + performance.now()),
    async close() {
      closing = true
      clearInterval(timer)
      await client.end().catch(() => {})
    },
  }
}
