import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import bcrypt from 'bcryptjs'
import { projectRoot } from './tools.ts'

export type BerthOptions = {
  readonly env?: Readonly<Record<string, string>>
  readonly args?: readonly string[]
  /** The storage root. Without it a new one is made and removed again by `stop`. */
  readonly root?: string
  /** Names and passwords for an htpasswd file. Without it everybody may do everything. */
  readonly users?: Readonly<Record<string, string>>
}

export type BerthProcess = {
  readonly url: string
  /** `host:port`, as it stands in an image's name. */
  readonly host: string
  readonly port: number
  readonly root: string
  readonly pid: number
  /** Asks the server to leave, waits until it has, and removes what was made for it. */
  readonly stop: () => Promise<void>
  /** Ends the server as a power cut would. The storage root stays. */
  readonly kill: () => Promise<void>
  /** What the server has written so far. */
  readonly output: () => string
}

type Started = { readonly child: ChildProcess; readonly port: number; readonly output: () => string }

const READY_WITHIN_MS = 20_000
const LEAVE_WITHIN_MS = 15_000

/** Starts a registry in a process of its own on a free port and waits until it serves. */
export async function startBerth(options: BerthOptions = {}): Promise<BerthProcess> {
  const scratch = await mkdtemp(join(tmpdir(), 'berth-test-'))
  const root = options.root ?? join(scratch, 'root')
  try {
    const env = { ...(await configuration(scratch)), ...(await authentication(scratch, options.users)), ...options.env }
    const started = await startOnFreePort(root, env, options.args ?? [])
    return describeProcess(started, root, scratch)
  } catch (error) {
    await rm(scratch, { recursive: true, force: true })
    throw error
  }
}

function describeProcess({ child, port, output }: Started, root: string, scratch: string): BerthProcess {
  const host = `127.0.0.1:${port}`
  return {
    url: `http://${host}`,
    host,
    port,
    root,
    pid: child.pid ?? 0,
    output,
    kill: () => leave(child, 'SIGKILL'),
    stop: async () => {
      await leave(child, 'SIGTERM')
      await rm(scratch, { recursive: true, force: true })
    },
  }
}

/** A file of our own, or the server would take that of a registry which happens to be installed on this machine. */
async function configuration(folder: string): Promise<Record<string, string>> {
  const path = join(folder, 'config.yml')
  await writeFile(path, 'version: 0.1\nstorage:\n  delete:\n    enabled: true\n')
  return { REGISTRY_CONFIGURATION_PATH: path }
}

async function authentication(
  folder: string,
  users: Readonly<Record<string, string>> | undefined,
): Promise<Record<string, string>> {
  if (users === undefined) return {}
  const path = join(folder, 'htpasswd')
  // The lowest cost: these passwords protect nothing, and every request of a client without a session checks one.
  const lines = Object.entries(users).map(([name, password]) => `${name}:${bcrypt.hashSync(password, 4)}\n`)
  await writeFile(path, lines.join(''), { mode: 0o600 })
  return { REGISTRY_AUTH_HTPASSWD_REALM: 'berth-test', REGISTRY_AUTH_HTPASSWD_PATH: path }
}

async function startOnFreePort(root: string, env: Record<string, string>, args: readonly string[]): Promise<Started> {
  for (let attempt = 1; ; attempt += 1) {
    const started = launch(root, await freePort(), env, args)
    try {
      await untilReady(started)
      return started
    } catch (error) {
      await leave(started.child, 'SIGKILL')
      // Between finding a free port and binding it another process may take it.
      if (attempt === 3 || !/EADDRINUSE|address already in use/.test(started.output())) throw error
    }
  }
}

function launch(root: string, port: number, extra: Record<string, string>, args: readonly string[]): Started {
  const [file, ...rest] = command(port, root, args)
  const child = spawn(file ?? '', rest, {
    cwd: projectRoot,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...inheritedEnvironment(),
      REGISTRY_HTTP_ADDR: `127.0.0.1:${port}`,
      REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: root,
      ...extra,
    },
  })
  let text = ''
  const keep = (part: Buffer): void => {
    text += part.toString()
  }
  child.stdout?.on('data', keep)
  child.stderr?.on('data', keep)
  child.on('error', (error) => keep(Buffer.from(`${error.message}\n`)))
  return { child, port, output: () => text }
}

/** Another registry can stand in for Berth, to tell a wrong expectation of a test from a defect of the server. */
function command(port: number, root: string, args: readonly string[]): string[] {
  const other = process.env['BERTH_TEST_SERVER_COMMAND']
  if (other === undefined) return [process.execPath, join(projectRoot, 'bin', 'berth.js'), 'serve', ...args]
  const filled = other.replaceAll('{port}', String(port)).replaceAll('{root}', root)
  return filled.split(/\s+/).filter((word) => word !== '')
}

/** The environment without settings of a registry that the developer may have for another purpose. */
function inheritedEnvironment(): NodeJS.ProcessEnv {
  const ours = ([name]: [string, unknown]): boolean => !name.startsWith('REGISTRY_') && name !== 'STORAGE_PATH'
  return Object.fromEntries(Object.entries(process.env).filter(ours))
}

async function untilReady({ child, port, output }: Started): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS
  while (Date.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) {
      throw new Error(`the server ended before it was ready:\n${output()}`)
    }
    if (await isReady(port)) return
    await sleep(50)
  }
  throw new Error(`the server was not ready within ${READY_WITHIN_MS / 1000} s:\n${output()}`)
}

async function isReady(port: number): Promise<boolean> {
  const readiness = await statusOf(`http://127.0.0.1:${port}/readyz`)
  const status = readiness === 404 ? await statusOf(`http://127.0.0.1:${port}/v2/`) : readiness
  return status === 200 || status === 401
}

async function statusOf(url: string): Promise<number> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) })
    await response.body?.cancel()
    return response.status
  } catch {
    return 0
  }
}

async function leave(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill(signal)
  const timer = setTimeout(() => child.kill('SIGKILL'), LEAVE_WITHIN_MS)
  await gone
  clearTimeout(timer)
}

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port was given')
  return address.port
}
