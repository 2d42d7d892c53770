/** Connections to Redis as the settings describe them: one server, a master that sentinels name, or a cluster. */
import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis'
import { scripts } from './scripts.ts'

export interface RedisAddress {
  readonly host: string
  readonly port: number
}

export interface RedisTls {
  /** PEM texts, not paths. */
  readonly ca?: string
  readonly certificate?: string
  readonly key?: string
  readonly skipVerify: boolean
}

export interface RedisSettings {
  /** The server, all sentinels, or some nodes of a cluster. */
  readonly addresses: readonly RedisAddress[]
  readonly username?: string
  readonly password?: string
  readonly db: number
  readonly sentinel?: { readonly name: string; readonly username?: string; readonly password?: string }
  readonly cluster: boolean
  readonly tls?: RedisTls
  readonly protocol: 2 | 3
  /** Before every key and channel. */
  readonly prefix: string
  readonly commandTimeoutMs: number
  readonly connectTimeoutMs: number
}

/** The few commands that are sent. In a cluster each touches one slot. */
export interface Commands {
  get(key: string): Promise<string | null>
  set(key: string, value: string, unit: 'PX', ms: number): Promise<unknown>
  hexists(key: string, field: string): Promise<number>
  publish(channel: string, text: string): Promise<number>
  /** 0 is taken; else for how many milliseconds it is another's. */
  berthTake(key: string, ...given: (string | number)[]): Promise<number>
  /** 0 is another's, 1 is ours, 2 is ours and somebody asks for it. */
  berthRenew(key: string, ...given: (string | number)[]): Promise<number>
  berthLeave(key: string, ...given: (string | number)[]): Promise<number>
  berthCount(key: string, by: number, windowMs: number): Promise<number>
}

/** The library's own, in the form that its constructors take. */
type ServerOptions = RedisOptions & { readonly replyMapping?: 'legacy' }

const longestBackOffMs = 2_000

/** Doubles up to two seconds; half of it by chance, so that nodes do not come back all at once. */
export function backOff(attempt: number): number {
  const ms = Math.min(50 * 2 ** Math.min(attempt, 10), longestBackOffMs)
  return Math.ceil(ms / 2 + (Math.random() * ms) / 2)
}

/** For commands. They fail at once while there is no connection: nothing waits in a queue. */
export function connectForCommands(settings: RedisSettings): Redis | Cluster {
  if (settings.cluster) return new Cluster([...settings.addresses], clusterOptions(settings))
  return new Redis({ ...serverOptions(settings), scripts })
}

/** For listening. In a cluster a message reaches every node, so any will do, and the next one where that is gone. */
export function connectForListening(settings: RedisSettings): Redis {
  const { addresses, cluster } = settings
  const options: ServerOptions = { ...serverOptions(settings), ...addresses[0] }
  if (!cluster) return new Redis(options)
  const connection: Redis = new Redis({
    ...options,
    retryStrategy(attempt) {
      Object.assign(connection.options, addresses[attempt % addresses.length])
      return backOff(attempt)
    },
  })
  return connection
}

function serverOptions(settings: RedisSettings): ServerOptions {
  const { addresses, sentinel, cluster, db, tls } = settings
  const options: ServerOptions = { ...connectionOptions(settings), retryStrategy: backOff, enableOfflineQueue: false }
  if (cluster) return options
  if (!sentinel) return { ...options, ...addresses[0], db }
  const { name, username, password } = sentinel
  return {
    ...options,
    db,
    name,
    sentinels: [...addresses],
    sentinelUsername: username,
    sentinelPassword: password,
    sentinelRetryStrategy: backOff,
    sentinelCommandTimeout: settings.commandTimeoutMs,
    ...(tls && { sentinelTLS: tlsOptions(tls), enableTLSForSentinelMode: true }),
  }
}

function clusterOptions(settings: RedisSettings) {
  return {
    redisOptions: connectionOptions(settings),
    clusterRetryStrategy: backOff,
    // A node that is gone for a while comes back under its address without any slot changing.
    clusterNodeRetryStrategy: backOff,
    enableOfflineQueue: false,
    maxRedirections: 5,
    slotsRefreshTimeout: settings.commandTimeoutMs,
    scripts,
    // Certificates are for names; the library would look each one up and connect to what it finds.
    ...(settings.tls && { dnsLookup: asItIs }),
  } satisfies ClusterOptions
}

const asItIs: NonNullable<ClusterOptions['dnsLookup']> = (address, found) => found(null, address)

function connectionOptions(settings: RedisSettings) {
  const { username, password, tls, protocol, commandTimeoutMs, connectTimeoutMs } = settings
  return {
    username,
    password,
    protocol,
    connectionName: 'berth',
    disableClientInfo: true,
    commandTimeout: commandTimeoutMs,
    connectTimeout: connectTimeoutMs,
    // A connection from which nothing comes is given up: what it was to is reached by another, or not at all.
    socketTimeout: 2 * commandTimeoutMs,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // Done by whoever listens: the library leaves a failure of its own attempt to nobody.
    autoResubscribe: false,
    // A master that was made a replica: ask the sentinels again.
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
    ...(tls && { tls: tlsOptions(tls) }),
  } satisfies RedisOptions
}

function tlsOptions({ ca, certificate, key, skipVerify }: RedisTls) {
  return {
    rejectUnauthorized: !skipVerify,
    ...(ca !== undefined && { ca }),
    ...(certificate !== undefined && { cert: certificate }),
    ...(key !== undefined && { key }),
  }
}
