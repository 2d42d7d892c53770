/**
 * Berth killed as it makes a chosen system call: the n-th `rename`, the n-th `fsync`, and so on through a push, a retag,
 * two deletes and a collection. strace does the killing, and counts calls for each thread; so the pool of threads has one only.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { collect, withoutGrace } from '../kill/collector.ts'
import { type BerthProcess, startBerth } from '../support/berth-process.ts'
import { createClient, type Reply } from '../support/client.ts'
import { type Built, blob, image, putManifest } from '../support/image.ts'
import { tool } from '../support/tools.ts'
import { Broken, checkFolder } from './check.ts'
import type { Changes } from './record.ts'

const killable = ['openat', 'write', 'pwrite64', 'pwritev', 'fsync', 'fdatasync', 'rename', 'mkdir', 'unlink', 'rmdir']

export interface KillPoint {
  readonly call: string
  readonly number: number
}

export interface Killed {
  readonly killed: boolean
  readonly broken?: Broken
}

interface Step {
  readonly changes: Changes
  readonly send: () => Promise<Pick<Reply, 'status' | 'bytes'>>
}

function steps(berth: BerthProcess): Step[] {
  const client = createClient(berth.url)
  const [first, second] = [image({ layers: [blob(70_000)] }), image()]
  const pushBlobs = (built: Built) =>
    built.blobs.map(({ digest, bytes }) => ({
      changes: { [`kill/a/${digest}`]: digest },
      send: () => client.startUpload('kill/a', `?digest=${digest}`, { body: bytes }),
    }))
  const pushTag = (built: Built, tag: string) => ({
    changes: { [`kill/a@${built.digest}`]: built.digest, [`kill/a:${tag}`]: built.digest },
    send: () => putManifest(client, 'kill/a', tag, built),
  })
  return [
    ...pushBlobs(first),
    pushTag(first, 'latest'),
    ...pushBlobs(second),
    pushTag(second, 'latest'),
    pushTag(second, 'other'),
    { changes: { 'kill/a:other': undefined }, send: () => client.deleteManifest('kill/a', 'other') },
    {
      changes: { [`kill/a@${first.digest}`]: undefined },
      send: () => client.deleteManifest('kill/a', first.digest),
    },
    {
      changes: Object.fromEntries(
        first.blobs
          .filter(({ digest }) => second.blobs.every((each) => each.digest !== digest))
          .map(({ digest }) => [`kill/a/${digest}`, undefined]),
      ),
      send: async () => {
        await collect(berth)
        return { status: 200, bytes: Buffer.alloc(0) }
      },
    },
  ]
}

/** What was promised until the server was gone: the last request may have done its work or not. */
async function askUntilKilled(
  berth: BerthProcess,
): Promise<{ facts: Map<string, (string | undefined)[]>; killed: boolean }> {
  const facts = new Map<string, (string | undefined)[]>()
  for (const { changes, send } of steps(berth)) {
    const reply = await send().catch(() => undefined)
    for (const [key, value] of Object.entries(changes)) {
      facts.set(key, reply ? [value] : [...(facts.get(key) ?? [undefined]), value])
    }
    if (!reply) return { facts, killed: true }
    if (reply.status >= 300) throw new Error(`answered ${reply.status}: ${reply.bytes}`)
  }
  return { facts, killed: false }
}

/** How often a thread makes each call while everything is asked for: of the threads the one that makes most. */
export async function countCalls(scratch: string): Promise<Map<string, number>> {
  const trace = join(scratch, 'counted')
  const { berth, strace } = await startWatched(join(scratch, 'root-counted'), ['-o', trace, '-e', `trace=${killable}`])
  await askUntilKilled(berth)
  await berth.kill()
  await gone(strace)
  await berth.stop()
  const byThread = new Map<string, number>()
  for (const line of fs.readFileSync(trace, 'utf8').split('\n')) {
    const [, thread, call] = /^(\d+) +(\w+)\(/.exec(line) ?? []
    if (call) byThread.set(`${thread} ${call}`, (byThread.get(`${thread} ${call}`) ?? 0) + 1)
  }
  const counts = new Map<string, number>()
  for (const [key, count] of byThread) {
    const call = key.split(' ')[1] ?? ''
    counts.set(call, Math.max(count, counts.get(call) ?? 0))
  }
  return counts
}

/** Every n-th of all calls, those of each kind in their order. */
export function killPoints(counts: ReadonlyMap<string, number>, every: number): KillPoint[] {
  const all = [...counts].flatMap(([call, count]) =>
    Array.from({ length: count }, (_, index) => ({ call, number: index + 1 })),
  )
  return all.filter((_, index) => index % every === 0)
}

/** What broke, if anything did; and whether the call was reached at all. */
export async function tryKill(scratch: string, { call, number }: KillPoint): Promise<Killed> {
  const root = join(scratch, `root-${call}-${number}`)
  const inject = ['-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${call}:signal=KILL:when=${number}`]
  const { berth, strace } = await startWatched(root, inject)
  let killed = false
  try {
    const asked = await askUntilKilled(berth)
    await berth.kill()
    await gone(strace)
    killed = asked.killed
    await checkFolder(root, { facts: asked.facts, uploads: [] }, true)
    return { killed }
  } catch (error) {
    return {
      killed,
      broken: error instanceof Broken ? error : new Broken('it can be checked', String(error), { cause: error }),
    }
  } finally {
    await berth.stop()
    fs.rmSync(root, { recursive: true, force: true })
  }
}

async function startWatched(root: string, options: readonly string[]) {
  const berth: BerthProcess = await startBerth({
    root,
    env: { ...withoutGrace, UV_THREADPOOL_SIZE: '1', UV_USE_IO_URING: '0' },
  })
  const strace = spawn(tool('strace'), ['-f', ...options, '-p', String(berth.pid)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let told = ''
  strace.stderr.on('data', (piece: Buffer) => {
    told += piece
  })
  for (const deadline = Date.now() + 10_000; !told.includes('attached'); await sleep(10)) {
    if (strace.exitCode !== null || Date.now() > deadline) throw new Error(`strace did not attach: ${told}`)
  }
  return { berth, strace }
}

async function gone(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}
