/** PostgreSQL servers of our own: one a test file, in a folder of its own, with a new database for every case. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { everythingRequired, findTool } from './tools.ts'

export interface PostgresServer {
  readonly port: number
  readonly password: string
  /** The address of a new database with nothing in it; `options` as CREATE DATABASE takes them. */
  newDatabase(options?: string): Promise<string>
  /** Runs a statement as the owner of everything; in the database of `url`, where one is given. */
  ask(statement: string, url?: string): Promise<Record<string, unknown>[]>
  /** Ends as in a crash: what was not committed is lost, and every connection. */
  crash(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}

/** Where the programs of a PostgreSQL server are, or undefined where this machine has none. */
export function findPostgres(): string | undefined {
  const packaged = '/usr/lib/postgresql'
  const versions = fs.existsSync(packaged) ? fs.readdirSync(packaged).sort((a, b) => Number(b) - Number(a)) : []
  const folders = versions.map((version) => join(packaged, version, 'bin'))
  const found = folders.find((folder) => fs.existsSync(join(folder, 'initdb')))
  if (found !== undefined) return found
  const [initdb, postgres] = [findTool('initdb'), findTool('postgres')]
  return initdb === undefined || postgres === undefined ? undefined : join(fs.realpathSync(initdb), '..')
}

/** Options for a test or suite that needs a PostgreSQL server. */
export function needsPostgres(): { skip?: string } {
  if (findPostgres() !== undefined) return {}
  const reason = 'PostgreSQL (initdb and postgres) is not on this machine'
  if (everythingRequired) throw new Error(reason)
  return { skip: `not tried here: ${reason}` }
}

/** A server for a whole test file: it is made when somebody asks first, and ends with the file. */
export function sharedPostgres(
  settings: Readonly<Record<string, string | number>> = {},
): () => Promise<PostgresServer> {
  let server: Promise<PostgresServer> | undefined
  after(async () => (await server)?.stop())
  return () => {
    server ??= startPostgres(settings)
    return server
  }
}

/** Its data are not synced: they survive a crash of the server, and no power cut. */
export async function startPostgres(settings: Readonly<Record<string, string | number>> = {}): Promise<PostgresServer> {
  const programs = findPostgres()
  if (programs === undefined) throw new Error('PostgreSQL is not on this machine')
  const folder = fs.mkdtempSync(join(tmpdir(), 'berth-postgres-'))
  const owner = serverUser()
  if (owner.uid !== undefined) fs.chownSync(folder, owner.uid, owner.gid!)
  const [port, password, data] = [await freePort(), `secret-${randomBytes(8).toString('hex')}`, join(folder, 'data')]
  const passwordFile = join(folder, 'password')
  fs.writeFileSync(passwordFile, password, { mode: 0o644 })
  // A language's order of letters, so that whatever relies on it is found out.
  const locale = ['--encoding=UTF8', '--locale=C.UTF-8', '--locale-provider=icu', '--icu-locale=en']
  const access = ['--username=berth', '--auth=scram-sha-256', `--pwfile=${passwordFile}`]
  const where = { cwd: folder, ...owner }
  execFileSync(join(programs, 'initdb'), ['--no-sync', '-D', data, ...locale, ...access], { ...where, stdio: 'pipe' })
  const options = { fsync: 'off', max_connections: 60, shared_buffers: '32MB', log_min_messages: 'fatal', ...settings }
  const flags = Object.entries(options).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const server = [join(programs, 'postgres'), '-D', data, '-p', String(port), '-k', folder, '-h', '127.0.0.1', ...flags]
  // However this process ends, the server ends with it.
  const tied = findTool('setpriv') === undefined ? [] : ['setpriv', '--pdeathsig', 'QUIT']
  const [command = '', ...args] = [...tied, ...server]
  let child: ChildProcess | undefined
  const kill = () => child?.kill('SIGQUIT')
  const urlOf = (database: string) => `postgres://berth:${password}@127.0.0.1:${port}/${database}`
  let databases = 0

  async function ask(statement: string, url = urlOf('postgres')): Promise<Record<string, unknown>[]> {
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => {})
    try {
      await client.connect()
      return (await client.query(statement)).rows
    } finally {
      await client.end().catch(() => {})
    }
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    const ending = child
    child = undefined
    if (!ending || ending.exitCode !== null) return
    ending.kill(signal)
    await once(ending, 'exit')
  }

  async function start(): Promise<void> {
    const mine: ChildProcess = spawn(command, args, {
      ...where,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    child = mine
    let said = ''
    mine.stderr!.on('data', (bytes) => (said += bytes))
    for (const deadline = Date.now() + 30_000; ; await sleep(25)) {
      if (mine.exitCode !== null || Date.now() > deadline) throw new Error(`PostgreSQL did not start: ${said}`)
      if (
        await ask('select 1').then(
          () => true,
          () => false,
        )
      )
        return
    }
  }

  process.once('exit', kill)
  await start()
  return {
    port,
    password,
    async newDatabase(options = '') {
      const name = `case_${++databases}`
      await ask(`create database ${name} ${options}`)
      return urlOf(name)
    },
    ask,
    crash: () => end('SIGQUIT'),
    start,
    async stop() {
      process.off('exit', kill)
      await end('SIGQUIT')
      fs.rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The server refuses to run as root. */
function serverUser(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {}
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (option: string) => Number(execFileSync('id', [option, name], { encoding: 'utf8', stdio: 'pipe' }))
      return { uid: id('-u'), gid: id('-g') }
    } catch {}
  }
  throw new Error('there is no user "postgres" or "nobody" to run PostgreSQL as')
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
