/** Whether a server can hold the facts of a store. It is asked, and nothing is changed. */
import pg from 'pg'
import { toConnectError } from './errors.ts'

export interface Examined {
  readonly check: string
  readonly ok: boolean
  readonly detail: string
}

const oldest = 14
const connectMs = 5000

const question = `select current_setting('server_version') as version,
  current_setting('server_version_num')::int / 10000 as major,
  pg_is_in_recovery() as standby,
  current_setting('server_encoding') as encoding,
  current_setting('max_connections')::int as connections,
  has_schema_privilege(current_schema(), 'CREATE') as creates,
  abs(extract(epoch from clock_timestamp()) - $1::float8) as apart`

/** `poolSize`: how many connections each node takes, beside one that says that it is there. */
export async function examinePostgres(url: string, poolSize: number): Promise<readonly Examined[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: connectMs, query_timeout: connectMs })
  client.on('error', () => {})
  try {
    await client.connect()
    const { rows } = await client.query(question, [Date.now() / 1000])
    return judge(rows[0], poolSize)
  } catch (error) {
    return [{ check: 'the database answers', ok: false, detail: toConnectError(error).message }]
  } finally {
    await client.end().catch(() => {})
  }
}

interface Found {
  readonly version: string
  readonly major: number
  readonly standby: boolean
  readonly encoding: string
  readonly connections: number
  readonly creates: boolean | null
  readonly apart: number
}

function judge(found: Found, poolSize: number): Examined[] {
  const { version, major, standby, encoding, connections, creates, apart } = found
  const nodes = Math.floor(connections / (poolSize + 1))
  return [
    {
      check: 'the database answers',
      ok: major >= oldest,
      detail: `PostgreSQL ${version}, ${oldest} or later is needed`,
    },
    { check: 'it takes writes', ok: !standby, detail: standby ? 'it is a standby' : 'it is the primary' },
    {
      check: 'it keeps every character',
      ok: encoding === 'UTF8',
      detail: `its encoding is ${encoding}, UTF8 is needed`,
    },
    { check: 'tables can be made', ok: creates === true, detail: creates ? 'yes' : 'this account may not create any' },
    { check: 'there is room for connections', ok: nodes > 0, detail: `${connections}, enough for ${nodes} nodes` },
    { check: 'clocks', ok: true, detail: `${Math.round(apart * 1000)} ms apart; nodes go by the server's` },
  ]
}
