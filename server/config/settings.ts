/** What the rest of the program gets from the configuration: checked, normalised and frozen. Times are milliseconds. */

export type LogLevel = 'error' | 'warn' | 'info' | 'debug'
export type LogFormatter = 'text' | 'json' | 'logstash'

export interface Settings {
  readonly log: LogSettings
  readonly storage: StorageSettings
  readonly metadata: MetadataSettings
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
}

export type StorageDriverSettings =
  /** `root` is absolute. */
  { readonly name: 'filesystem'; readonly root: string } | { readonly name: 'inmemory' }

export interface UploadPurgingSettings {
  readonly enabled: boolean
  readonly ageMs: number
  readonly intervalMs: number
  /** Only say what would be removed. */
  readonly dryRun: boolean
}

export interface MetadataSettings {
  /** `path` is absolute; nothing with storage in memory, where the database goes with the process. */
  readonly sqlite: { readonly path: string | undefined }
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
  readonly workers: number
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
