/** From what the schema has checked to what the program works with. What can go wrong has gone wrong before. */
import { join, resolve } from 'node:path'
import { parseListen } from './addresses.ts'
import { redisOf } from './redis.ts'
import { s3Of } from './s3.ts'
import type { Parsed } from './schema.ts'
import type {
  AuthSettings,
  HttpSettings,
  ListenSettings,
  MetadataSettings,
  Settings,
  StorageDriverSettings,
  StorageSettings,
  TlsSettings,
} from './settings.ts'

/** A longer timer would fire at once: `setTimeout` counts in 32 bits. */
const longestTimerMs = 2 ** 31 - 1
const defaultRoot = './data'

const timer = (ms: number): number => Math.min(Math.ceil(ms), longestTimerMs)

export function normalise(parsed: Parsed, hasFile: boolean): Settings {
  const { catalog, tags, validation, collector, health } = parsed
  const driver = driverOf(parsed.storage)
  const redis = redisOf(parsed.redis)
  const { interval, ...check } = health.storagedriver
  return freeze({
    log: {
      level: parsed.loglevel ?? parsed.log.level,
      formatter: parsed.log.formatter,
      fields: parsed.log.fields ?? {},
      accessLog: parsed.log.accesslog,
    },
    storage: storageOf(parsed.storage, driver, hasFile),
    metadata: metadataOf(parsed.metadata, driver),
    ...(redis && { redis }),
    auth: authOf(parsed.auth),
    http: httpOf(parsed.http, driver),
    catalog: { maxEntries: catalog.maxentries },
    tags: { maxTags: tags.maxtags },
    validation: { manifests: { sparse: validation.manifests.sparse, maxBytes: validation.manifests.maxbytes } },
    collector: { graceMs: collector.grace, intervalMs: timer(collector.interval), trashMs: collector.trash },
    health: { storageDriver: { ...check, intervalMs: timer(interval) } },
  })
}

function driverOf({ filesystem, inmemory, s3 }: Parsed['storage']): StorageDriverSettings {
  if (s3) return s3Of(s3)
  if (inmemory) return { name: 'inmemory' }
  return {
    name: 'filesystem',
    root: resolve(filesystem?.rootdirectory ?? defaultRoot),
  }
}

function storageOf(parsed: Parsed['storage'], driver: StorageDriverSettings, hasFile: boolean): StorageSettings {
  const { enabled, age, interval, dryrun } = parsed.maintenance.uploadpurging
  const { disable, exceptfor, lifetime } = parsed.redirect
  return {
    driver,
    delete: { enabled: parsed.delete.enabled ?? !hasFile },
    maintenance: {
      uploadPurging: { enabled, ageMs: age, intervalMs: timer(interval), dryRun: dryrun },
      readOnly: parsed.maintenance.readonly,
      reserve: parsed.maintenance.reserve,
    },
    redirect: { disabled: disable, exceptFor: exceptfor ?? [], lifetimeMs: lifetime },
  }
}

function metadataOf({ sqlite, postgres }: Parsed['metadata'], driver: StorageDriverSettings): MetadataSettings {
  if (postgres) return { sqlite: { path: undefined }, postgres: { url: postgres.url, poolSize: postgres.poolsize } }
  if (sqlite.path !== undefined) return { sqlite: { path: resolve(sqlite.path) } }
  return { sqlite: { path: driver.name === 'filesystem' ? join(driver.root, 'berth', 'berth.db') : undefined } }
}

function authOf({ htpasswd }: Parsed['auth']): AuthSettings {
  return htpasswd ? { type: 'htpasswd', ...htpasswd } : { type: 'none' }
}

function httpOf(parsed: Parsed['http'], driver: StorageDriverSettings): HttpSettings {
  return {
    listen: listenAt(parsed),
    host: parsed.host,
    prefix: parsed.prefix ?? '',
    secret: parsed.secret,
    relativeUrls: parsed.relativeurls,
    drainTimeoutMs: timer(parsed.draintimeout),
    headers: parsed.headers ?? {},
    trustedProxies: parsed.trustedproxies ?? [],
    tls: tlsOf(parsed.tls),
    debug: { listen: parsed.debug.addr },
    workers: driver.name === 'inmemory' ? 1 : parsed.workers,
  }
}

function listenAt({ addr, net }: Parsed['http']): ListenSettings {
  const listen = parseListen(addr, net)
  if (listen === undefined) throw new Error('the address has not been checked')
  return listen
}

function tlsOf({ certificate, key, minimumtls }: Parsed['http']['tls']): TlsSettings | undefined {
  return certificate && key ? { certificate, key, minimum: minimumtls } : undefined
}

function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  for (const child of Object.values(value)) freeze(child)
  return Object.freeze(value)
}
