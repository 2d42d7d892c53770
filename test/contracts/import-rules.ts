/**
 * Who may import whom, as data (architecture, "Folders"). A target is a folder, or a file where only that file is open
 * to the importer; `types` of a file may be imported where the file itself may not.
 */
import { readdirSync } from 'node:fs'
import { join, posix } from 'node:path'

export interface Source {
  /** From the project's root, with `/`. */
  readonly path: string
  readonly text: string
}

export interface Import {
  readonly from: string
  readonly specifier: string
  /** `import type`, which is gone at run time. */
  readonly isType: boolean
  readonly isDynamic: boolean
}

export interface FolderRule {
  /** Folders and files of ours. Its own folder is always open. */
  readonly ours: readonly string[]
  readonly types?: readonly string[]
}

const interfaces = [
  ...['facts', 'facts-upkeep', 'schema'].map((file) => `metadata/${file}.ts`),
  ...['coordination', 'counters', 'locks', 'notices', 'single-flight'].map((file) => `coordination/${file}.ts`),
]
const storagePort = ['storage/driver.ts', 'storage/layout.ts', 'storage/sink.ts', 'storage/repository-tree.ts']
/** What a change of facts is, whoever makes it. */
const changes = ['settle', 'adoption', 'manifest-facts', 'manifest-removal', 'reviews', 'pardon'].map(
  (file) => `registry/${file}.ts`,
)

export const folderRules: Readonly<Record<string, FolderRule>> = {
  oci: { ours: [] },
  storage: { ours: ['oci'] },
  metadata: { ours: ['oci'] },
  coordination: { ours: ['oci'] },
  registry: { ours: ['oci', ...storagePort, ...interfaces], types: ['storage/blob-store.ts'] },
  upkeep: {
    ours: ['oci', ...changes, ...storagePort, ...interfaces],
    types: ['storage/blob-store.ts', 'registry/local-parts.ts'],
  },
  auth: { ours: ['oci', ...interfaces] },
  mirror: { ours: ['oci', 'registry/registry.ts', ...interfaces] },
  events: { ours: ['oci', 'registry/registry.ts', ...interfaces] },
  server: { ours: ['oci', 'registry/registry.ts', 'auth/access.ts'], types: ['upkeep/operations.ts'] },
  cli: {
    ours: [
      'server/main.ts',
      'server/compose/command.ts',
      'server/compose/control-socket.ts',
      'server/compose/driver.ts',
      'server/compose/examine.ts',
      'server/config',
      'package.json',
    ],
    types: ['upkeep/operations.ts', 'server/compose/store.ts'],
  },
  web: { ours: [] },
}

const everyPart = [...Object.keys(folderRules).filter((folder) => folder !== 'cli' && folder !== 'web'), 'package.json']
const composing = [
  'server/compose.ts',
  ...readdirSync(join(import.meta.dirname, '../../server/compose')).map((file) => `server/compose/${file}`),
]

/** Single files that may do more than their folder, and why. */
export const fileRules: Readonly<Record<string, FolderRule>> = {
  // The files that pick concrete parts.
  ...Object.fromEntries(composing.map((path) => [path, { ours: everyPart }])),
}

/** Where a package, or a part of Node, may be imported. What is not named here may be imported nowhere. */
export const packageRules: Readonly<Record<string, readonly string[]>> = {
  koa: ['server'],
  '@koa/router': ['server/app.ts'],
  zod: ['server/config'],
  yaml: ['server/config', 'cli'],
  pino: ['server/log.ts'],
  'pino-pretty': ['server/log.ts'],
  commander: ['cli'],
  kysely: ['metadata'],
  pg: ['metadata'],
  'lru-cache': ['storage/blob-store.ts', 'registry/live-hashes.ts', 'server/handlers/manifests.ts', 'auth', 'mirror'],
  'p-limit': ['storage/drivers', 'upkeep', 'mirror', 'events'],
  bcryptjs: ['auth'],
  jsonwebtoken: ['auth'],
  ioredis: ['coordination'],
  '@aws-sdk/client-s3': ['storage/drivers/s3'],
  '@aws-sdk/s3-request-presigner': ['storage/drivers/s3'],
  '@smithy/node-http-handler': ['storage/drivers/s3'],
  '@prometheus-io/client': ['server'],
  '@opentelemetry/api': ['server'],
  undici: ['mirror', 'events', 'auth'],
  croner: ['upkeep'],
  picomatch: ['auth', 'mirror', 'upkeep'],
  'cli-progress': ['cli'],
  'node:child_process': ['storage/drivers/filesystem', 'server'],
  'node:cluster': ['server/workers'],
  'node:module': ['server/workers'],
  'node:url': ['server/workers'],
  'node:crypto': ['oci', 'storage', 'registry', 'upkeep', 'auth', 'mirror', 'events', 'server'],
  'node:events': ['server', 'coordination', 'storage/drivers/s3', 'mirror', 'events'],
  'node:fs': ['storage', 'metadata', 'auth', 'server', 'cli'],
  'node:fs/promises': ['storage', 'auth', 'server', 'cli'],
  'node:http': ['server', 'cli', 'storage/drivers/s3', 'mirror', 'events'],
  'node:https': ['server', 'cli', 'storage/drivers/s3', 'mirror', 'events'],
  'node:net': ['server', 'cli'],
  'node:os': ['auth', 'server', 'cli'],
  'node:path': ['storage', 'metadata', 'auth', 'server', 'cli'],
  'node:sqlite': ['metadata', 'storage/root-lock.ts', 'storage/worker-lock.ts'],
  'node:stream': ['oci', 'storage', 'registry', 'upkeep', 'mirror', 'server'],
  'node:stream/promises': ['storage', 'mirror', 'server'],
  'node:timers/promises': [
    'storage',
    'metadata',
    'coordination',
    'registry',
    'upkeep',
    'mirror',
    'events',
    'server',
    'cli',
  ],
  'node:readline/promises': ['cli'],
  'node:tls': ['server', 'mirror'],
  'node:tty': ['cli'],
  'node:util': ['storage', 'auth', 'server', 'cli'],
  'node:worker_threads': ['metadata', 'auth', 'server'],
}

const statement =
  /^[ \t]*(?:import|export)(?<type> type)?\b(?:[^'"();]|\([^)]*\))*?\bfrom '(?<from>[^']+)'|^[ \t]*import '(?<bare>[^']+)'|\bimport\('(?<dynamic>[^']+)'\)/gm

export function importsOf({ path, text }: Source): Import[] {
  return [...text.matchAll(statement)].map(({ groups = {} }) => ({
    from: path,
    specifier: groups['from'] ?? groups['bare'] ?? groups['dynamic'] ?? '',
    isType: groups['type'] !== undefined,
    isDynamic: groups['dynamic'] !== undefined,
  }))
}

/** The file of ours that an import names; nothing for a package. */
export function targetOf({ from, specifier }: Import): string | undefined {
  return specifier.startsWith('.') ? posix.join(posix.dirname(from), specifier) : undefined
}

const within = (path: string, places: readonly string[]): boolean =>
  places.some((place) => path === place || path.startsWith(`${place}/`))

function folderOf(path: string): string {
  return path.slice(0, path.indexOf('/'))
}

/** What is wrong with one import, as a sentence. */
export function forbidden(each: Import): string | undefined {
  const { from, specifier } = each
  const target = targetOf(each)
  const sentence = `${from} must not import ${target ?? specifier}`
  if (target === undefined) return within(from, packageRules[packageOf(specifier)] ?? []) ? undefined : sentence
  if (target.startsWith('storage/drivers/') && !within(from, ['storage/drivers']) && !each.isDynamic) {
    return `${sentence} before the configuration has chosen it`
  }
  if (folderOf(target) === folderOf(from)) return undefined
  const rule = fileRules[from] ?? folderRules[folderOf(from)]
  if (!rule) return `${from} is in a folder without a rule`
  if (within(target, rule.ours) || (each.isType && within(target, rule.types ?? []))) return undefined
  return sentence
}

function packageOf(specifier: string): string {
  if (specifier.startsWith('node:')) return specifier
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

/** A way round that leads back to its beginning, where there is one. Types count: they tie files together, too. */
export function findCycle(sources: readonly Source[]): readonly string[] | undefined {
  const edges = new Map(
    sources.map((source) => [source.path, importsOf(source).flatMap((each) => targetOf(each) ?? [])]),
  )
  const done = new Set<string>()
  const follow = (path: string, way: readonly string[]): readonly string[] | undefined => {
    if (way.includes(path)) return [...way.slice(way.indexOf(path)), path]
    if (done.has(path)) return undefined
    for (const next of edges.get(path) ?? []) {
      const cycle = follow(next, [...way, path])
      if (cycle) return cycle
    }
    done.add(path)
    return undefined
  }
  for (const path of edges.keys()) {
    const cycle = follow(path, [])
    if (cycle) return cycle
  }
  return undefined
}
