/** One connection: its settings, its prepared statements, and what became of it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely'
import pg from 'pg'
import { digestOf, hexOf } from '../../oci/digest.ts'
import type { FactQueries } from '../facts.ts'
import { factQueries } from '../queries.ts'
import type { Schema } from '../schema.ts'
import type { Sql, Statement } from '../sql.ts'
import { PostgresError, toConnectError, toPostgresError } from './errors.ts'
import { fromStored, toStored } from './text.ts'

export interface ConnectionOptions {
  readonly url: string
  readonly connectMs: number
  /** Whoever waits longer than this for an answer has lost the server, which ends most statements before. */
  readonly answerMs?: number
  /** Every message that is sent, before it is. */
  readonly onStatement?: ((text: string) => void) | undefined
  /** Every answer, before whoever asked has it. */
  readonly onAnswer?: (() => void) | undefined
}

export interface Connection {
  readonly sql: Sql
  /** All queries over this connection. */
  readonly facts: FactQueries
  readonly bornAt: number
  /** Sends text as it is, of several statements maybe; answers which command ran last. */
  run(text: string): Promise<string>
  /** The last statement that failed, until somebody clears it. */
  failed: PostgresError | undefined
  isBusy(): boolean
  isBroken(): boolean
  /** It is not to be used again. */
  giveUp(): void
  close(): Promise<void>
}

export const build = new Kysely<Schema>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (database) => new PostgresIntrospector(database),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
})

/** A third of a page is what an index can hold, less what a row of it needs beside the key. */
export const longestKey = 2000
/** Statements of a variable number of parameters would fill the server's memory. */
const fewParameters = 32

const statementMs = 25_000
const lockMs = 10_000
const farewellMs = 1000
/** Somebody who holds locks and says nothing is dead: the others wait no longer than this. */
const silentMs = 15_000

/** Reads are refused everything else; a transaction says that it writes. */
const settings = `set statement_timeout = ${statementMs}; set lock_timeout = ${lockMs};
  set idle_in_transaction_session_timeout = ${silentMs}; set default_transaction_read_only = on;
  select pg_is_in_recovery() as standby`

/** `onEnd`: the connection has ended although nobody closed it. */
export async function openConnection(options: ConnectionOptions, onEnd: () => void): Promise<Connection> {
  const client = newClient(options)
  let isOpen = false
  let broken = false
  const end = () => {
    if (isOpen && !broken) onEnd()
    broken = true
  }
  // Without a listener, the end of an idle connection would be the end of the process.
  client.on('error', end).on('end', end)
  try {
    await client.connect()
    const answers = (await client.query(settings)) as unknown as pg.QueryResult[]
    if (answers.at(-1)?.rows[0]?.standby)
      throw new PostgresError('the server is a standby, and takes no writes', 'broken')
  } catch (error) {
    client.end().catch(() => {})
    throw toConnectError(error)
  }
  isOpen = true
  return createConnection(client, options, { isBroken: () => broken, giveUp: end })
}

function newClient({ url, connectMs, answerMs = statementMs + 5000 }: ConnectionOptions): pg.Client {
  const config: pg.ClientConfig = {
    connectionString: url,
    fallback_application_name: 'berth',
    connectionTimeoutMillis: connectMs,
    query_timeout: answerMs,
    keepAlive: true,
    types: { getTypeParser: typeParser } as pg.CustomTypesConfig,
  }
  try {
    // Files that the address names are read here.
    return new pg.Client(config)
  } catch (error) {
    throw toConnectError(error)
  }
}

/** `int8` and `numeric` (a sum of them), which the driver would leave as text; the rest of what facts consist of. */
const parsers: Readonly<Record<number, (text: string) => unknown>> = { 20: Number, 1700: Number, 25: fromStored }

function typeParser(type: number, format?: 'text' | 'binary'): unknown {
  return parsers[type] ?? pg.types.getTypeParser(type, format as 'text')
}

function createConnection(
  client: pg.Client,
  { onStatement, onAnswer }: ConnectionOptions,
  state: Pick<Connection, 'isBroken' | 'giveUp'>,
): Connection {
  let last: Promise<unknown> | undefined
  let facts: FactQueries | undefined

  async function send(query: pg.QueryConfig): Promise<pg.QueryResult> {
    onStatement?.(query.text)
    try {
      return await client.query(query)
    } catch (error) {
      const known = toPostgresError(error)
      connection.failed = known
      if (known.trouble === 'broken') state.giveUp()
      throw known
    } finally {
      onAnswer?.()
    }
  }

  /** One at a time: what is sent behind a statement that fails would be answered with that one's failure. */
  async function ask(query: pg.QueryConfig): Promise<pg.QueryResult> {
    while (last) await last
    const mine = send(query)
    const over = mine.then(
      () => {},
      () => {},
    )
    last = over
    try {
      return await mine
    } finally {
      if (last === over) last = undefined
    }
  }

  const sql: Sql = {
    build,
    longestKey,
    all: async <Row>(statement: Statement<Row>) => (await ask(toQuery(statement))).rows as Row[],
  }
  const connection: Connection = {
    ...state,
    sql,
    get facts() {
      facts ??= factQueries(sql)
      return facts
    },
    bornAt: Date.now(),
    failed: undefined,
    isBusy: () => last !== undefined,
    async run(text) {
      const answer = (await ask({ text })) as pg.QueryResult | pg.QueryResult[]
      return (Array.isArray(answer) ? answer.at(-1)! : answer).command
    },
    async close() {
      state.giveUp()
      await Promise.race([client.end().catch(() => {}), sleep(farewellMs, undefined, { ref: false })])
      // A server that is gone says nothing more.
      ;(client as unknown as { connection: pg.Connection }).connection.stream.destroy()
    },
  }
  return connection
}

function toQuery({ sql, parameters }: Statement<unknown>): pg.QueryConfig {
  const values = parameters.map((value) => (typeof value === 'string' ? toStored(value) : value))
  // Without parameters it may be anything, a change of the schema too, which is not asked twice.
  if (values.length === 0 || values.length >= fewParameters) return { text: sql, values }
  return { name: nameOf(sql), text: sql, values }
}

const names = new Map<string, string>()

/** The same in every process: a server that is asked through a proxy may know the statement from another. */
function nameOf(sql: string): string {
  let name = names.get(sql)
  if (name === undefined) {
    name = `b${hexOf(digestOf(Buffer.from(sql))).slice(0, 32)}`
    names.set(sql, name)
  }
  return name
}
