import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { Kind } from './scenarios/scenario.ts'

export type Place = { readonly port: number; readonly root: string; readonly folder: string }

export type Command = {
  readonly file: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** A server that takes part. */
export type Contender = {
  readonly name: string
  readonly kind: Kind
  readonly version: string
  /** What has happened to a push before it is acknowledged. */
  readonly durability: string
  /** May write a configuration into the folder of the place. */
  readonly command: (place: Place) => Command
}

export type Found = { readonly contenders: readonly Contender[]; readonly missing: readonly string[] }

const projectRoot = join(import.meta.dirname, '..')
const FILE_SYNC = 'fsync of each file before it is acknowledged, none of the folders it was renamed into'

/** Berth, what is installed of the known others, and what the command line names. */
export function findContenders(custom: readonly string[]): Found {
  const named = custom.map(customServer)
  const known = [
    berth(),
    distribution('distribution-2', 'docker-registry', /docker\/distribution 2\./),
    distribution('distribution-3', 'registry', /distribution\/v3/),
    nginx(),
  ]
  const found = known.filter((one) => typeof one !== 'string').filter(({ name }) => !named.some((n) => n.name === name))
  const contenders = [...found, ...named].toSorted((a, b) => placeOf(a) - placeOf(b))
  return { contenders, missing: known.filter((one) => typeof one === 'string') }
}

/** Berth is compared with the others, so it comes first; files served by nginx are a limit and come last. */
function placeOf({ name, kind }: Contender): number {
  if (name === 'berth') return 0
  return kind === 'static' ? 2 : 1
}

function berth(): Contender | string {
  const program = join(projectRoot, 'bin', 'berth.js')
  if (!existsSync(program)) return 'berth (bin/berth.js does not exist)'
  const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8'))
  return {
    name: 'berth',
    kind: 'registry',
    version: String(version),
    durability: 'data, its folders and the database log are on disk before a push is acknowledged',
    // With a configuration of its own: without one the server would take that of the machine.
    command: (place) => ({ file: process.execPath, args: [program, 'serve', writeConfiguration(place)] }),
  }
}

function distribution(name: string, program: string, expected: RegExp): Contender | string {
  const file = findProgram(program)
  if (file === undefined) return `${name} (no ${program} on PATH)`
  const version = spawnSync(file, ['--version'], { encoding: 'utf8' }).stdout?.trim() ?? ''
  if (!expected.test(version)) return `${name} (${program} on PATH is something else)`
  return {
    name,
    kind: 'distribution',
    version: /\d+\.\d+[^+\s]*/.exec(version)?.[0] ?? version,
    durability: FILE_SYNC,
    command: (place) => {
      return { file, args: ['serve', writeConfiguration(place)], env: { OTEL_TRACES_EXPORTER: 'none' } }
    },
  }
}

/** The same for Berth and for distribution: deletes allowed, the access log on. JSON is YAML too. */
function writeConfiguration({ port, root, folder }: Place): string {
  const path = join(folder, 'config.yml')
  const configuration = {
    version: 0.1,
    log: { accesslog: { disabled: false }, level: 'info' },
    storage: { filesystem: { rootdirectory: root }, delete: { enabled: true } },
    http: { addr: `127.0.0.1:${port}` },
  }
  writeFileSync(path, JSON.stringify(configuration))
  return path
}

function nginx(): Contender | string {
  const file = findProgram('nginx')
  if (file === undefined) return 'nginx (not on PATH)'
  return {
    name: 'nginx',
    kind: 'static',
    version: /nginx\/(\S+)/.exec(spawnSync(file, ['-v'], { encoding: 'utf8' }).stderr ?? '')?.[1] ?? '',
    durability: 'serves files as they are; the limit for reads',
    command: (place) => {
      const path = join(place.folder, 'nginx.conf')
      // A master that was started as root gives up its rights for its workers, who could not enter a private folder.
      const user = process.getuid?.() === 0 ? 'user root;' : ''
      writeFileSync(path, `${user}\n${nginxConfig(place)}`)
      mkdirSync(place.root, { recursive: true })
      return { file, args: ['-p', place.folder, '-e', join(place.folder, 'error.log'), '-c', path] }
    },
  }
}

function nginxConfig({ port, root, folder }: Place): string {
  const inFolder = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${join(folder, name)};`)
    .join('\n  ')
  return `daemon off;
pid ${join(folder, 'nginx.pid')};
worker_processes auto;
events { worker_connections 1024; }
http {
  ${inFolder}
  access_log ${join(folder, 'access.log')};
  sendfile on;
  keepalive_requests 1000000000;
  server { listen 127.0.0.1:${port}; root ${root}; }
}
`
}

/** `NAME=COMMAND`, run by the shell, with {port}, {root} and {folder} filled in. */
export function customServer(text: string): Contender {
  const [, name, template] = /^([^=\s]+)=(.+)$/s.exec(text) ?? []
  if (name === undefined || template === undefined) throw new Error(`--server wants NAME=COMMAND, not ${text}`)
  if (!template.includes('{port}')) throw new Error(`the command of ${name} has no {port}`)
  return {
    name,
    kind: 'registry',
    version: '',
    durability: 'as its command and its documentation say',
    command: ({ port, root, folder }) => {
      const filled = template.replaceAll('{port}', `${port}`).replaceAll('{root}', root).replaceAll('{folder}', folder)
      return { file: '/bin/sh', args: ['-c', `exec ${filled}`] }
    },
  }
}

function findProgram(name: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const goBin = process.env['GOBIN'] ?? join(process.env['GOPATH'] ?? join(homedir(), 'go'), 'bin')
  return [...folders, goBin].map((folder) => join(folder, name)).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
