import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Contender } from './contenders.ts'
import { cpuSeconds, processIds } from './process-cost.ts'
import type { Target } from './scenarios/scenario.ts'

export type Server = {
  readonly contender: Contender
  readonly target: Target
  readonly pid: number
  /** Ends it and removes all that it has stored. */
  readonly stop: () => Promise<void>
}

const READY_WITHIN_MS = 30_000
const LEAVE_WITHIN_MS = 15_000
const IDLE_WITHIN_MS = 3_000
const LONGEST_LINE = 400
const running = new Map<number, ChildProcess>()

/** Starts a server with an empty root below `folder` and waits until it answers. Its log goes to a file there. */
export async function startServer(contender: Contender, folder: string): Promise<Server> {
  await mkdir(folder, { recursive: true })
  const port = await freePort()
  const root = join(folder, 'root')
  const { file, args, env } = contender.command({ port, root, folder })
  const log = join(folder, 'server.log')
  const output = openSync(log, 'a')
  const child = spawn(file, args, { stdio: ['ignore', output, output], env: { ...inheritedEnvironment(), ...env } })
  closeSync(output)
  child.on('error', () => undefined)
  if (child.pid !== undefined) running.set(child.pid, child)
  const stop = async (): Promise<void> => {
    await leave(child)
    // A million link files: the program is several times quicker than Node's own.
    await once(spawn('rm', ['-rf', folder], { stdio: 'inherit' }), 'exit')
  }
  try {
    await untilReady(child, port)
  } catch (error) {
    const tail = lastLines(log)
    await stop()
    throw new Error(`${error instanceof Error ? error.message : error}\n${tail}`)
  }
  const target = { server: contender.name, kind: contender.kind, port, root }
  return { contender, target, pid: child.pid ?? 0, stop }
}

/** Ends every server that is still there. */
export async function stopServers(): Promise<void> {
  await Promise.all([...running.values()].map(leave))
}

/**
 * Waits until a server does nothing more, so that work it has put off is counted as its own and does not disturb the
 * next one.
 */
export async function untilIdle(pid: number): Promise<void> {
  const deadline = Date.now() + IDLE_WITHIN_MS
  let before = cpuSeconds(pid)
  while (Date.now() < deadline) {
    await sleep(200)
    const now = cpuSeconds(pid)
    if (now - before <= 0.01) return
    before = now
  }
}

function lastLines(log: string): string {
  const lines = readFileSync(log, 'utf8').trim().split('\n')
  return lines
    .slice(-3)
    .map((line) => line.slice(0, LONGEST_LINE))
    .join('\n')
}

/** The environment without settings of a registry that the developer may have for another purpose. */
function inheritedEnvironment(): NodeJS.ProcessEnv {
  const foreign = ([name]: [string, unknown]): boolean => !name.startsWith('REGISTRY_') && name !== 'STORAGE_PATH'
  return Object.fromEntries(Object.entries(process.env).filter(foreign))
}

async function untilReady(child: ChildProcess, port: number): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS
  while (Date.now() < deadline) {
    if (child.pid === undefined || hasEnded(child)) throw new Error('ended before it was ready')
    if (await answers(port)) return
    await sleep(50)
  }
  throw new Error(`was not ready within ${READY_WITHIN_MS / 1000} s`)
}

async function answers(port: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/v2/`, { signal: AbortSignal.timeout(2_000) })
    await response.body?.cancel()
    // nginx has no such path and is ready all the same.
    return response.status < 500
  } catch {
    return false
  }
}

async function leave(child: ChildProcess): Promise<void> {
  const { pid } = child
  if (pid === undefined) return
  running.delete(pid)
  if (hasEnded(child)) return
  const family = processIds(pid)
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => family.forEach(kill), LEAVE_WITHIN_MS)
  await gone
  clearTimeout(timer)
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended already.
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port was given')
  return address.port
}
