/**
 * Facts in PostgreSQL, which several nodes share.
 *
 * ```
 * read    any connection ── one statement, again if the connection broke
 * write   its turn in this process ── a connection ── begin + locks ── queries ── commit
 *                                          └── again after a conflict, or a connection that broke before the commit
 * ```
 *
 * Nobody waits for long: what cannot be had within `patienceMs` fails as `unavailable`. A commit that was sent and not
 * answered fails so as well, and may have happened.
 */
import { Failure } from '../oci/failure.ts'
import type { FactQueries, Facts, WriteOptions } from './facts.ts'
import { build, longestKey, openConnection } from './postgres/connection.ts'
import { toFailure } from './postgres/errors.ts'
import { createPool } from './postgres/pool.ts'
import { prepareDatabase } from './postgres/start.ts'
import { beginOf, retrying, runTransaction } from './postgres/transaction.ts'
import { createTurns } from './postgres/turns.ts'
import { createWatch } from './postgres/watch.ts'
import { factQueries } from './queries.ts'
import type { Sql, Statement } from './sql.ts'

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database`, and what else libpq knows: `?sslmode=verify-full&sslrootcert=…`. */
  readonly url: string
  /** Connections at most. */
  readonly poolSize?: number
  readonly patienceMs?: number
  /** How long to wait for a server that does not answer yet when this node starts. */
  readonly startMs?: number
  /** The server could not be reached, for the first time since it could. */
  readonly onUnreachable?: (error: Error) => void
  /** Every message that is sent to the server. */
  readonly onStatement?: (text: string) => void
}

const probeMs = 3000
/** For reading, so that writers cannot hold all of them. */
const readersShare = 0.25

/** Brings the schema up to date; refuses to start where the database is not there, or not for us. */
export async function openPostgresFacts(options: PostgresOptions): Promise<Facts> {
  const { url, poolSize = 10, patienceMs = 10_000 } = options
  const connectMs = Math.min(5000, patienceMs)
  await prepareDatabase(url, connectMs, options.startMs)
  const watch = createWatch()
  const connection = { url, connectMs, onStatement: options.onStatement, onAnswer: watch.look }
  const pool = createPool({
    size: poolSize,
    connect: (onEnd) => openConnection(connection, onEnd),
    onUnreachable: options.onUnreachable,
  })
  const turns = createTurns(Math.max(1, poolSize - Math.ceil(poolSize * readersShare)))
  const operations = createOperations()

  /** One statement, which changes nothing: it may be asked again. */
  function ask<Row>(statement: Statement<Row>, deadline: number): Promise<Row[]> {
    return operations.run('read', () =>
      watch.read(() => retrying(deadline, () => pool.use(deadline, ({ sql }) => sql.all(statement)))),
    )
  }

  function transact<T>(work: (facts: FactQueries) => Promise<T>, options: WriteOptions): Promise<T> {
    const deadline = Date.now() + patienceMs
    const begin = beginOf(options)
    const attempt = () => pool.use(deadline, (each) => runTransaction(each, begin, work, watch))
    return operations.run('write', () =>
      turns.take(options.touches ?? 'everything', deadline, () => retrying(deadline, attempt)),
    )
  }

  const sql: Sql = { build, longestKey, all: (statement) => ask(statement, Date.now() + patienceMs) }
  let closing: Promise<void> | undefined
  return {
    read: factQueries(sql),
    write: (work, options = {}) => transact(work, options),
    probe: async () =>
      void (await ask({ sql: 'select 1', parameters: [] }, Date.now() + Math.min(probeMs, patienceMs))),
    close: () => (closing ??= operations.end().then(() => pool.close())),
  }
}

/** What was begun is finished before the end, and nothing is begun after it. */
function createOperations() {
  let count = 0
  let isEnding = false
  let over: (() => void) | undefined
  return {
    async run<T>(kind: 'read' | 'write', operation: () => Promise<T>): Promise<T> {
      // What was begun may still read.
      if (isEnding && (kind === 'write' || count === 0)) throw new Failure('draining', {})
      count++
      try {
        return await operation()
      } catch (error) {
        throw toFailure(error)
      } finally {
        count--
        if (count === 0) over?.()
      }
    },
    end: () =>
      new Promise<void>((resolve) => {
        isEnding = true
        over = resolve
        if (count === 0) resolve()
      }),
  }
}
