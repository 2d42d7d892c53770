import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { tool } from '../../support/tools.ts'
import { execute } from './command.ts'

export type Daemon = { readonly socket: string; readonly stop: () => Promise<void> }

const READY_WITHIN_MS = 60_000
const LEAVE_WITHIN_MS = 20_000

/** A dockerd of its own: no bridge and no firewall rules, so that it needs nothing of this machine but a folder. */
export function startDockerd(folder: string): Promise<Daemon> {
  const socket = join(folder, 'docker.sock')
  const args = [
    ...['--bridge=none', '--iptables=false', '--ip-masq=false', '--storage-driver=vfs'],
    ...['--insecure-registry=127.0.0.0/8', `--host=unix://${socket}`, `--pidfile=${join(folder, 'docker.pid')}`],
    ...[`--data-root=${join(folder, 'data')}`, `--exec-root=${join(folder, 'exec')}`],
  ]
  const ping = ['-H', `unix://${socket}`, 'version']
  return startDaemon(folder, socket, ['dockerd', ...args], ['docker', ...ping])
}

export async function startContainerd(folder: string): Promise<Daemon> {
  const socket = join(folder, 'containerd.sock')
  const config = join(folder, 'config.toml')
  await mkdir(folder, { recursive: true })
  const lines = [
    'version = 2',
    `root = "${join(folder, 'root')}"`,
    `state = "${join(folder, 'state')}"`,
    'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
    '[grpc]',
    `address = "${socket}"`,
  ]
  await writeFile(config, `${lines.join('\n')}\n`)
  return startDaemon(folder, socket, ['containerd', '-c', config], ['ctr', '-a', socket, 'version'])
}

async function startDaemon(
  folder: string,
  socket: string,
  [program = '', ...args]: readonly string[],
  ping: readonly string[],
): Promise<Daemon> {
  await mkdir(folder, { recursive: true })
  const child = spawn(tool(program), args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let output = ''
  child.stderr.on('data', (part: Buffer) => {
    output += part.toString()
  })
  const stop = async (): Promise<void> => {
    await leave(child)
    await unmountBelow(folder)
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await untilAnswering(child, ping)
  } catch (error) {
    await stop()
    throw new Error(`${program} did not start: ${output.slice(-4000)}`, { cause: error })
  }
  return { socket, stop }
}

async function untilAnswering(child: ChildProcess, [program = '', ...args]: readonly string[]): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS
  while (Date.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error('it ended')
    const { code } = await execute(tool(program), args)
    if (code === 0) return
    await sleep(200)
  }
  throw new Error(`no answer within ${READY_WITHIN_MS / 1000} s`)
}

async function leave(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), LEAVE_WITHIN_MS)
  await gone
  clearTimeout(timer)
}

/** dockerd and podman leave name spaces and layers mounted when they are ended early; such a folder cannot be removed. */
export async function unmountBelow(folder: string): Promise<void> {
  const table = await readFile('/proc/self/mounts', 'utf8')
  const points = table.split('\n').map((line) => line.split(' ')[1] ?? '')
  for (const point of points.filter((path) => path.startsWith(`${folder}/`)).reverse()) {
    await execute('umount', ['-l', point])
  }
}
