/** Redis servers for tests: each on free ports, without a file on disk, gone when the test is. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { RedisSettings } from '../../coordination/redis/client.ts'
import { tool } from './tools.ts'

const run = promisify(execFile)
const answersWithinMs = 15_000

export interface RedisServer {
  readonly port: number
  readonly settings: RedisSettings
  /** Runs a command and answers what it printed. */
  cli(...command: string[]): Promise<string>
  /** Silent from now on, its connections open. */
  pause(): void
  resume(): void
  stop(): Promise<void>
  /** Empty, on the same port. */
  start(): Promise<void>
}

interface ServerOptions {
  readonly args?: readonly string[]
  /** What redis-cli needs to be let in. */
  readonly cliArgs?: readonly string[]
  readonly settings?: Partial<RedisSettings>
}

export const redisSettings = (port: number, changed: Partial<RedisSettings> = {}): RedisSettings => ({
  addresses: [{ host: '127.0.0.1', port }],
  db: 0,
  cluster: false,
  protocol: 3,
  prefix: 'berth:',
  commandTimeoutMs: 1_000,
  connectTimeoutMs: 2_000,
  ...changed,
})

export async function startRedis({ args = [], cliArgs = [], settings }: ServerOptions = {}): Promise<RedisServer> {
  const port = await freePort()
  let child: ChildProcess | undefined

  async function cli(...command: string[]): Promise<string> {
    const { stdout } = await run(tool('redis-cli'), ['-h', '127.0.0.1', '-p', String(port), ...cliArgs, ...command])
    return stdout.trim()
  }

  async function start(): Promise<void> {
    const own = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
    child = spawn(tool('redis-server'), [...own, ...args], { stdio: 'ignore' })
    await until('redis-server answers', async () => (await cli('PING')) === 'PONG')
  }

  await start()
  return {
    port,
    settings: redisSettings(port, settings),
    cli,
    start,
    pause: () => child?.kill('SIGSTOP'),
    resume: () => child?.kill('SIGCONT'),
    stop: async () => {
      if (child) await end(child)
      child = undefined
    },
  }
}

/** One master, one replica, and one sentinel that watches them and needs nobody's consent. */
export async function startSentinels(settings: Partial<RedisSettings> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'berth-redis-'))
  const master = await startRedis()
  const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(master.port)] })
  await until('the replica follows', async () => (await replica.cli('INFO', 'replication')).includes('link_status:up'))
  const port = await freePort()
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `sentinel monitor berth 127.0.0.1 ${master.port} 1`,
    'sentinel down-after-milliseconds berth 500',
    'sentinel failover-timeout berth 3000',
  ]
  const path = join(folder, 'sentinel.conf')
  await writeFile(path, `${lines.join('\n')}\n`)
  const child = spawn(tool('redis-server'), [path, '--sentinel'], { stdio: 'ignore' })
  const ask = async (...command: string[]) =>
    (await run(tool('redis-cli'), ['-p', String(port), ...command])).stdout.trim()
  await until('the sentinel knows the replica', async () =>
    (await ask('SENTINEL', 'replicas', 'berth')).includes(String(replica.port)),
  )
  return {
    master,
    replica,
    ask,
    settings: redisSettings(port, { ...settings, sentinel: { name: 'berth' } }),
    stop: async () => {
      await end(child)
      await Promise.all([master.stop(), replica.stop()])
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Three masters that share the slots. */
export async function startCluster(settings: Partial<RedisSettings> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'berth-redis-'))
  const servers: RedisServer[] = []
  const ranges = ['0 5460', '5461 10922', '10923 16383']
  const buses: number[] = []
  for (const [n, range] of ranges.entries()) {
    const bus = await freePort()
    const file = join(folder, `nodes-${n}.conf`)
    const args = ['--cluster-enabled', 'yes', '--cluster-config-file', file, '--cluster-port', String(bus)]
    const server = await startRedis({ args: [...args, '--dir', folder, '--cluster-node-timeout', '2000'] })
    await server.cli('CLUSTER', 'ADDSLOTSRANGE', ...range.split(' '))
    servers.push(server)
    buses.push(bus)
  }
  const [first] = servers as [RedisServer]
  for (const [n, { port }] of servers.entries()) {
    if (n > 0) await first.cli('CLUSTER', 'MEET', '127.0.0.1', String(port), String(buses[n]))
  }
  for (const { cli } of servers) {
    await until('the cluster is whole', async () => {
      const info = await cli('CLUSTER', 'INFO')
      return info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3')
    })
  }
  const addresses = servers.map(({ port }) => ({ host: '127.0.0.1', port }))
  return {
    servers,
    settings: redisSettings(first.port, { ...settings, addresses, cluster: true }),
    stop: async () => {
      await Promise.all(servers.map(({ stop }) => stop()))
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export const aclPassword = 'a-password-nobody-may-read'

/** TLS alone, clients with a certificate alone, and one user who may do no more than is needed. */
export async function startGuardedRedis(): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-redis-'))
  const { ca, certificate, key } = await makeCertificates(folder)
  const rights = '~berth:* &berth:* -@all +eval +evalsha +get +set +hget +hset +hdel +hexists +hgetall +hincrby +del'
  const acl = `user berth on >${aclPassword} ${rights} +pexpire +pttl +incrby +publish +subscribe +unsubscribe +info +hello +client +ping +select`
  await writeFile(join(folder, 'users.acl'), `user default on nopass ~* &* +@all\n${acl}\n`)
  const files = ['--tls-cert-file', certificate, '--tls-key-file', key, '--tls-ca-cert-file', ca]
  const port = await freePort()
  const server = await startRedis({
    args: [...files, '--tls-port', String(port), '--tls-auth-clients', 'yes', '--aclfile', join(folder, 'users.acl')],
  })
  const [caText, certificateText, keyText] = await Promise.all(
    [ca, certificate, key].map((path) => readFile(path, 'utf8')),
  )
  return {
    ...server,
    settings: redisSettings(port, {
      username: 'berth',
      password: aclPassword,
      tls: { ca: caText ?? '', certificate: certificateText ?? '', key: keyText ?? '', skipVerify: false },
    }),
    stop: async () => {
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function makeCertificates(folder: string) {
  const [ca, caKey, certificate, key] = ['ca.crt', 'ca.key', 'server.crt', 'server.key'].map((name) =>
    join(folder, name),
  ) as [string, string, string, string]
  const [request, names] = [join(folder, 'server.csr'), join(folder, 'names')]
  const openssl = (line: string) => run(tool('openssl'), line.split(' '))
  const ec = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
  await writeFile(names, 'subjectAltName=IP:127.0.0.1\n')
  await openssl(`req -x509 ${ec} -keyout ${caKey} -out ${ca} -days 2 -subj /CN=berth-test`)
  await openssl(`req ${ec} -keyout ${key} -out ${request} -subj /CN=127.0.0.1`)
  await openssl(
    `x509 -req -in ${request} -CA ${ca} -CAkey ${caKey} -CAcreateserial -out ${certificate} -days 2 -extfile ${names}`,
  )
  return { ca, certificate, key }
}

/** Waits for what must become true in the end. What `holds` throws counts as not yet. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  ms = answersWithinMs,
): Promise<void> {
  const deadline = performance.now() + ms
  for (;;) {
    if (await Promise.resolve(holds()).catch(() => false)) return
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`)
    await sleep(20)
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const left = once(child, 'exit')
  child.kill('SIGKILL')
  await left
}

async function freePort(): Promise<number> {
  const server: Server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
