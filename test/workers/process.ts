/** A registry of several processes: who they are, which one answered, and how one of them is killed. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { type BerthOptions, type BerthProcess, startBerth } from '../support/berth-process.ts'
import type { Client, Reply } from '../support/client.ts'

export const patienceMs = 10_000

export function startWithWorkers(workers: number, options: BerthOptions = {}): Promise<BerthProcess> {
  return startBerth({ ...options, env: { REGISTRY_HTTP_WORKERS: String(workers), ...options.env } })
}

/** Processes of workers that run now. */
export function workersOf({ pid }: Pick<BerthProcess, 'pid'>): number[] {
  const children = read(`/proc/${pid}/task/${pid}/children`).trim().split(' ').filter(Boolean).map(Number)
  return children.filter((child) => read(`/proc/${child}/cmdline`).includes('workers/start'))
}

export const isAlive = (pid: number): boolean =>
  read(`/proc/${pid}/stat`)
    .replace(/.*\) /, '')
    .match(/^[^ZX]/) !== null

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  withinMs = patienceMs,
): Promise<void> {
  for (const deadline = performance.now() + withinMs; !(await isSo()); await sleep(10)) {
    if (performance.now() > deadline) throw new Error(`${what} did not come within ${withinMs} ms`)
  }
}

/** Resolves when so many take requests. */
export async function untilServing(client: Client, count: number): Promise<void> {
  await until(`${count} workers that serve`, async () => (await askAll(count, () => client.check())).size === count)
}

/** A process gives its requests ids that begin alike. */
export const answeredBy = ({ headers }: Reply): string => String(headers['x-request-id']).split('-')[0] ?? ''

/** Asks until so many workers have answered, but not for ever: whoever is free takes the next connection. */
export async function askAll(count: number, ask: () => Promise<Reply>): Promise<Map<string, Reply>> {
  const answers = new Map<string, Reply>()
  for (let n = 0; n < 20 && answers.size < count; n++) {
    for (const reply of await Promise.all(Array.from({ length: 2 * count }, ask))) answers.set(answeredBy(reply), reply)
  }
  return answers
}
