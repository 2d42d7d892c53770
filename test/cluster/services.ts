/**
 * What nodes share, as real servers: bytes (S3), facts (PostgreSQL), and what they tell each other (Redis). Every node
 * reaches each of them over a wire of its own, which can be cut, delayed or silenced:
 *
 *   node 1 ──wire──┐
 *   node 2 ──wire──┼──> [gate: 503] ──> versitygw        the same for PostgreSQL and Redis, without a gate
 *   node 3 ──wire──┘
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findPostgres, type PostgresServer, startPostgres } from '../support/postgres.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { type S3Access, versitygw } from '../support/s3-servers.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { everythingRequired, findTool } from '../support/tools.ts'
import { type S3Gate, startS3Gate } from './s3-gate.ts'

export interface Store extends S3Access {
  stop(): Promise<void>
  restart?(): Promise<void>
}

export interface Services {
  readonly store: Store
  readonly gate: S3Gate | undefined
  readonly redis: RedisServer
  readonly postgres: PostgresServer
  /** Of the database that all nodes share. */
  readonly database: string
  /** New wires for a node, and the settings that lead over them. */
  connect(): Promise<Connected>
  stop(): Promise<void>
}

export interface Wires {
  readonly store: TcpProxy
  readonly redis: TcpProxy
  readonly postgres: TcpProxy
}

export interface Connected {
  readonly wires: Wires
  readonly env: Readonly<Record<string, string>>
}

export interface ServiceOptions {
  /** What stands in for versitygw. */
  readonly startStore?: () => Promise<Store>
  /** With something before S3 that can answer in its place. */
  readonly withGate?: boolean
}

/** Options for a test that needs all of them, and other programs beside. */
export function needsCluster(...programs: string[]): { skip?: string } {
  const missing = ['versitygw', 'redis-server', 'redis-cli', ...programs].filter((name) => findTool(name) === undefined)
  if (findPostgres() === undefined) missing.push('PostgreSQL (initdb and postgres)')
  if (missing.length === 0) return {}
  const reason = `not on this machine: ${missing.join(', ')}`
  if (everythingRequired) throw new Error(reason)
  return { skip: `not tried here: ${reason}` }
}

export async function startServices({ startStore = versitygw.start, withGate = false }: ServiceOptions = {}) {
  const started: { stop(): Promise<void> }[] = []
  const keep = <T extends { stop(): Promise<void> }>(server: T): T => {
    started.push(server)
    return server
  }
  const stop = async () => {
    for (const server of started.splice(0).reverse()) await server.stop()
  }
  try {
    const config = await writeConfiguration(keep)
    const [store, redis, postgres] = await Promise.all([
      startStore().then(keep),
      startRedis().then(keep),
      startPostgres({ max_connections: 100, log_min_messages: 'fatal' }).then(keep),
    ])
    const gate = withGate ? keep(await startS3Gate(addressOf(store.endpoint))) : undefined
    const database = await postgres.newDatabase()
    const connect = () => connectTo({ store, gate, redis, postgres, database }, config, keep)
    const services: Services = { store, gate, redis, postgres, database, connect, stop }
    return services
  } catch (error) {
    await stop()
    throw error
  }
}

type Ground = Pick<Services, 'store' | 'gate' | 'redis' | 'postgres' | 'database'>

/** A file of our own, or nodes would take that of a registry which happens to be installed on this machine. */
async function writeConfiguration(keep: (folder: { stop(): Promise<void> }) => void): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-cluster-'))
  keep({ stop: () => rm(folder, { recursive: true, force: true }) })
  const path = join(folder, 'config.yml')
  await writeFile(path, 'version: 0.1\nstorage:\n  delete:\n    enabled: true\n')
  return path
}

async function connectTo(
  { store, gate, redis, postgres, database }: Ground,
  config: string,
  keep: <T extends TcpProxy>(wire: T) => T,
): Promise<Connected> {
  const host = '127.0.0.1'
  const wires: Wires = {
    store: keep(await startTcpProxy(gate ?? addressOf(store.endpoint))),
    redis: keep(await startTcpProxy({ host, port: redis.port })),
    postgres: keep(await startTcpProxy({ host, port: postgres.port })),
  }
  const url = new URL(database)
  url.port = String(wires.postgres.port)
  const env = {
    REGISTRY_CONFIGURATION_PATH: config,
    REGISTRY_STORAGE: 's3',
    REGISTRY_STORAGE_S3_BUCKET: store.bucket,
    REGISTRY_STORAGE_S3_REGION: store.region,
    REGISTRY_STORAGE_S3_REGIONENDPOINT: `http://${host}:${wires.store.port}`,
    REGISTRY_STORAGE_S3_ACCESSKEY: store.accessKey,
    REGISTRY_STORAGE_S3_SECRETKEY: store.secretKey,
    REGISTRY_METADATA_POSTGRES_URL: url.href,
    REGISTRY_REDIS_ADDR: `${host}:${wires.redis.port}`,
  }
  return { wires, env }
}

function addressOf(endpoint: string) {
  const { hostname, port } = new URL(endpoint)
  return { host: hostname, port: Number(port) }
}
