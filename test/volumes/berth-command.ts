/** Berth as its operator uses it: a server in a process of its own, and commands beside it. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type BerthProcess, startBerth } from '../support/berth-process.ts'
import { type Client, createClient } from '../support/client.ts'
import { projectRoot } from '../support/tools.ts'
import { atEnd } from './ending.ts'

export interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const commandTimeoutMs = 60_000

/** `berth <args>` for the store in `root`. */
export function runBerth(root: string, ...args: string[]): Promise<Outcome> {
  return runProgram('berth.js', root, args)
}

/** The same by the name that scripts of distribution call. */
export function runRegistry(root: string, ...args: string[]): Promise<Outcome> {
  return runProgram('registry.js', root, args)
}

function runProgram(program: string, root: string, args: readonly string[]): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>()
  const env = { ...process.env, REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: root }
  execFile(
    process.execPath,
    [join(projectRoot, 'bin', program), ...args],
    { env, timeout: commandTimeoutMs, maxBuffer: 64 * 1024 * 1024 },
    (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ code, stdout, stderr })
    },
  )
  return promise
}

export interface ServedBerth extends BerthProcess {
  readonly client: Client
}

/** Serves `root`; ends with the test. */
export async function serveBerth(
  t: TestContext,
  root: string,
  env: Readonly<Record<string, string>> = {},
): Promise<ServedBerth> {
  const berth = await startBerth({ root, env })
  atEnd(t, () => berth.stop())
  return { ...berth, client: createClient(berth.url) }
}

export interface AdoptionSeen {
  readonly phase: string
  readonly reason?: string
}

export async function statusOf(root: string) {
  const { code, stdout, stderr } = await runBerth(root, 'status', '--json')
  if (code !== 0) throw new Error(`berth status ended with ${code}: ${stderr}`)
  return JSON.parse(stdout) as {
    readonly adoption: AdoptionSeen
    readonly repositories: { readonly adopted: number; readonly unadopted: number }
    readonly damages: number
  }
}

/** Until the log has a line with these words. */
export async function untilLogged(berth: BerthProcess, words: string, seconds = 60): Promise<void> {
  for (let left = seconds * 20; left > 0; left--) {
    if (berth.output().includes(words)) return
    await sleep(50)
  }
  throw new Error(`"${words}" was not logged within ${seconds} s:\n${berth.output()}`)
}

export const untilAdopted = (berth: BerthProcess): Promise<void> => untilLogged(berth, 'read the whole volume')
