/** The first connection: whether this is a database for us at all, and the schema, which one node at a time changes. */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { StartRefused } from '../../oci/failure.ts'
import { migrate } from '../migrations.ts'
import { type Connection, openConnection } from './connection.ts'
import { PostgresError } from './errors.ts'
import { migrationKey } from './transaction.ts'

/** A database that is started together with us may need so long. */
const startMs = 30_000
/** An index of a large table. */
const migrationMs = 6 * 60 * 60_000

/** Nothing of the address but where it leads: it holds a password. */
export function placeOf(url: string): string {
  if (!/^(postgres|postgresql):\/\//.test(url)) {
    throw new StartRefused('the database\'s address must begin with "postgres://"')
  }
  try {
    const { host, port, database } = new pg.Client({ connectionString: url })
    return `${host}:${port}/${database}`
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException
    if (path !== undefined)
      throw new StartRefused(`the database's address names ${path}, which cannot be read: ${code}`)
    throw new StartRefused('the database\'s address is none: expected "postgres://user:password@host:port/database"')
  }
}

export async function prepareDatabase(url: string, connectMs: number, patienceMs = startMs): Promise<void> {
  const place = placeOf(url)
  const deadline = Date.now() + patienceMs
  for (let pause = 50; ; pause = Math.min(pause * 2, 1000)) {
    try {
      await once(url, connectMs)
      return
    } catch (error) {
      if (!(error instanceof PostgresError)) throw error
      const passes = error.trouble !== 'refused' && error.trouble !== 'wrong'
      if (!passes || Date.now() > deadline) {
        throw new StartRefused(`the database at ${place} cannot be used: ${error.message}`)
      }
      await sleep(pause * (0.5 + Math.random()))
    }
  }
}

async function once(url: string, connectMs: number): Promise<void> {
  const connection = await openConnection({ url, connectMs, answerMs: migrationMs }, () => {})
  try {
    await checkEncoding(connection)
    await migrateAlone(connection)
  } finally {
    await connection.close()
  }
}

async function checkEncoding(connection: Connection): Promise<void> {
  const [row] = await connection.sql.all<{ server_encoding: string }>({ sql: 'show server_encoding', parameters: [] })
  if (row?.server_encoding === 'UTF8') return
  throw new StartRefused(`the database is encoded in ${row?.server_encoding}: create one with "encoding 'UTF8'"`)
}

/** Other nodes that start wait here until it is done, however long that takes; those that run go on meanwhile. */
async function migrateAlone(connection: Connection): Promise<void> {
  await connection.run(
    `begin isolation level read committed read write; set local statement_timeout = 0; set local lock_timeout = 0;
     set local client_min_messages = warning;
     select pg_advisory_xact_lock(${migrationKey}); set local lock_timeout = 10000`,
  )
  await migrate(connection.sql, 'postgres', Date.now())
  await connection.run('commit')
}
