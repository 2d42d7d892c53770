/** A node of a cluster: a registry in a process of its own, killed and started again on the same port. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../support/berth-process.ts'
import { type Client, createClient } from '../support/client.ts'
import { findTool, projectRoot } from '../support/tools.ts'
import type { Connected, Wires } from './services.ts'

export interface ClusterNode {
  readonly host: string
  readonly port: number
  readonly url: string
  readonly client: Client
  readonly wires: Wires
  /** Whether its process runs and was ready once. */
  readonly isUp: boolean
  /** Everything that it has written, over all its lives. */
  readonly output: string
  start(): Promise<void>
  /** Ends it as a power cut would. */
  kill(): Promise<void>
  /** It does nothing more, and holds what it holds, until `resume`. */
  pause(): void
  resume(): void
  /** Asks it to leave, and waits until it has. */
  stop(): Promise<void>
}

const readyWithinMs = 60_000
const mostStarts = 4
const leaveWithinMs = 15_000
const host = '127.0.0.1'

export async function createNode({ wires, env }: Connected, extra: Readonly<Record<string, string>>) {
  const port = await freePort()
  const url = `http://${host}:${port}`
  let child: ChildProcess | undefined
  let isUp = false
  let output = ''

  /** Again where it ends by itself, as who supervises it would do. */
  async function start(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await launch()
      } catch (error) {
        if (attempt === mostStarts || child === undefined) throw error
      }
    }
  }

  async function launch(): Promise<void> {
    const tied = findTool('setpriv') === undefined ? [] : ['setpriv', '--pdeathsig', 'KILL', '--']
    const [file = '', ...args] = [...tied, process.execPath, join(projectRoot, 'bin', 'berth.js'), 'serve']
    const started = spawn(file, args, {
      cwd: projectRoot,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...inherited(), ...env, REGISTRY_HTTP_ADDR: `${host}:${port}`, REGISTRY_HTTP_WORKERS: '1', ...extra },
    })
    for (const stream of [started.stdout, started.stderr]) stream.on('data', (part: Buffer) => (output += String(part)))
    child = started
    await untilReady(url, started, () => output)
    isUp = child === started
  }

  async function leave(signal: NodeJS.Signals): Promise<void> {
    const leaving = child
    child = undefined
    isUp = false
    if (!leaving || leaving.exitCode !== null || leaving.signalCode !== null) return
    const gone = once(leaving, 'exit')
    leaving.kill(signal)
    const timer = setTimeout(() => leaving.kill('SIGKILL'), leaveWithinMs)
    await gone
    clearTimeout(timer)
  }

  const node: ClusterNode = {
    ...{ host, port, url, wires, client: createClient(url), start },
    get isUp() {
      return isUp
    },
    get output() {
      return output
    },
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
    kill: () => leave('SIGKILL'),
    stop: () => leave('SIGTERM'),
  }
  return node
}

/** Without settings of a registry that the developer may have for another purpose. */
function inherited(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('REGISTRY_')))
}

async function untilReady(url: string, child: ChildProcess, output: () => string): Promise<void> {
  const deadline = Date.now() + readyWithinMs
  while (Date.now() < deadline) {
    // Killed while it started: whoever did that knows.
    if (child.signalCode !== null) return
    if (child.exitCode !== null) throw new Error(`a node ended before it was ready:\n${output()}`)
    if (await isReady(url)) return
    await sleep(50)
  }
  throw new Error(`a node was not ready within ${readyWithinMs / 1000} s:\n${output()}`)
}

async function isReady(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2000) })
    await response.body?.cancel()
    return response.status === 200
  } catch {
    return false
  }
}
