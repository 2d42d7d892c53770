/** What the rest of the program gets from the configuration: checked, normalised and frozen. Times are milliseconds. */

export type LogLevel = 'error' | 'warn' | 'info' | 'debug'
export type LogFormatter = 'text' | 'json' | 'logstash'

export interface Settings {
  readonly log: LogSettings
  readonly storage: StorageSettings
  readonly metadata: MetadataSettings
  /** What nodes share beside the database; without it a node coordinates within itself. */
  readonly redis?: RedisSettings
  readonly auth: AuthSettings
  readonly http: HttpSettings
  readonly catalog: { readonly maxEntries: number }
  readonly tags: { readonly maxTags: number }
  readonly validation: ValidationSettings
  readonly collector: CollectorSettings
  readonly health: { readonly storageDriver: StorageHealthSettings }
}

export interface LogSettings {
  readonly level: LogLevel
  readonly formatter: LogFormatter
  /** Said with every line. */
  readonly fields: Readonly<Record<string, string>>
  readonly accessLog: { readonly disabled: boolean }
}

export interface StorageSettings {
  readonly driver: StorageDriverSettings
  readonly delete: { readonly enabled: boolean }
  readonly maintenance: {
    readonly uploadPurging: UploadPurgingSettings
    readonly readOnly: { readonly enabled: boolean }
    /** Bytes that stay free: pushes are refused below. */
    readonly reserve: number | 'auto'
  }
  readonly redirect: RedirectSettings
}

export type StorageDriverSettings =
  /** `root` is absolute. */
  { readonly name: 'filesystem'; readonly root: string } | { readonly name: 'inmemory' } | S3Settings

export interface S3Settings {
  readonly name: 's3'
  readonly bucket: string
  readonly region: string
  /** Where the service is, with its scheme and without a slash at its end; AWS where it is absent. */
  readonly endpoint?: string
  /** Scheme and host under which clients reach the service. */
  readonly publicEndpoint?: string
  readonly pathStyle: boolean
  /** Before every key: empty, or such as `a/b`. */
  readonly root: string
  /** Both or neither; without them the environment, the instance or the pod says who this is. */
  readonly accessKey?: string
  readonly secretKey?: string
  readonly sessionToken?: string
  readonly secure: boolean
  readonly skipVerify: boolean
  readonly encrypt: boolean
  /** Of KMS. */
  readonly keyId?: string
  /** Absent where nothing is to be sent: the service then keeps objects in its standard class. */
  readonly storageClass?: string
  readonly acl?: string
  readonly chunkSize: number
  readonly copyChunkSize: number
  readonly copyConcurrency: number
  readonly copyThreshold: number
  readonly userAgent?: string
  readonly dualStack: boolean
  readonly accelerate: boolean
  readonly fips: boolean
  /** Whether checksums are sent and asked for wherever an operation can have them, or only where it must. */
  readonly checksums: 'required' | 'supported'
  /** Bytes of bodies that may be held at once. */
  readonly memoryBytes: number
}

export interface RedirectSettings {
  readonly disabled: boolean
  /** Clients that get bytes through the server: addresses, CIDR ranges, or `unix`. */
  readonly exceptFor: readonly string[]
  readonly lifetimeMs: number
}

export interface UploadPurgingSettings {
  readonly enabled: boolean
  readonly ageMs: number
  readonly intervalMs: number
  /** Only say what would be removed. */
  readonly dryRun: boolean
}

export interface MetadataSettings {
  /** `path` is absolute; nothing with PostgreSQL, nor with storage in memory, where it goes with the process. */
  readonly sqlite: { readonly path: string | undefined }
  readonly postgres?: PostgresSettings
}

export interface PostgresSettings {
  /** Holds a password. */
  readonly url: string
  readonly poolSize: number
}

export interface RedisSettings {
  /** The servers, or the sentinels. Never empty. */
  readonly addresses: readonly { readonly host: string; readonly port: number }[]
  readonly username?: string
  readonly password?: string
  readonly db: number
  readonly sentinel?: { readonly name: string; readonly username?: string; readonly password?: string }
  readonly cluster: boolean
  readonly tls?: RedisTlsSettings
  readonly protocol: 2 | 3
  /** Before every key and channel. */
  readonly prefix: string
  readonly commandTimeoutMs: number
  readonly connectTimeoutMs: number
}

/** Paths of PEM files. */
export interface RedisTlsSettings {
  readonly ca?: readonly string[]
  readonly certificate?: string
  readonly key?: string
  readonly skipVerify: boolean
}

export type AuthSettings =
  | { readonly type: 'none' }
  | { readonly type: 'htpasswd'; readonly realm: string; readonly path: string }

/** A TCP port, on one address or (without `host`) on all; or a Unix socket. */
export type ListenSettings = { readonly host?: string; readonly port: number } | { readonly path: string }

export interface HttpSettings {
  readonly listen: ListenSettings
  /** The URL under which clients know this registry, without a slash at its end. */
  readonly host: string | undefined
  /** Before every path: empty, or such as `/registry`, without a slash at its end. */
  readonly prefix: string
  readonly secret: string | undefined
  readonly relativeUrls: boolean
  readonly drainTimeoutMs: number
  /** Added to every answer; names as configured. */
  readonly headers: Readonly<Record<string, readonly string[]>>
  /** Addresses, CIDR ranges, or `unix`. */
  readonly trustedProxies: readonly string[]
  readonly tls: TlsSettings | undefined
  readonly debug: { readonly listen: ListenSettings | undefined }
  /** `auto` is what the machine is good for; never with storage in memory, which one process serves. */
  readonly workers: number | 'auto'
}

export interface TlsSettings {
  readonly certificate: string
  readonly key: string
  readonly minimum: 'tls1.2' | 'tls1.3'
}

export interface ValidationSettings {
  readonly manifests: {
    /** Whether a manifest may refer to content that the repository does not have. */
    readonly sparse: 'allow' | 'deny'
    readonly maxBytes: number
  }
}

export interface CollectorSettings {
  /** How long something that nobody refers to stays. */
  readonly graceMs: number
  /** 0: only when a command asks for it. */
  readonly intervalMs: number
  /** How long something that was deleted can be restored; 0 where it cannot. */
  readonly trashMs: number
}

export interface StorageHealthSettings {
  readonly enabled: boolean
  readonly intervalMs: number
  /** Failures in a row before the registry counts as unhealthy; 0 as 1. */
  readonly threshold: number
}
