/** The server of a campaign: always on the same root, of this tree or of another one, and killed before it serves. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type BerthProcess, freePort, startBerth } from '../support/berth-process.ts'
import { projectRoot } from '../support/tools.ts'

export interface Place {
  readonly root: string
  /** The folder of the sources that are run. */
  readonly tree: string
  readonly env: Readonly<Record<string, string>>
}

/** How another server stands in for the one of this tree. */
const command = 'BERTH_TEST_SERVER_COMMAND'
const patienceMs = 10_000
/** Recovering takes about as long. */
const recoveryMs = 20
const programOf = (tree: string): string => join(tree, 'bin', 'berth.js')

export async function start({ root, tree, env }: Place): Promise<BerthProcess> {
  if (tree === projectRoot) return startBerth({ root, env })
  const before = process.env[command]
  process.env[command] = `${process.execPath} ${programOf(tree)} serve`
  try {
    return await startBerth({ root, env })
  } finally {
    if (before === undefined) delete process.env[command]
    else process.env[command] = before
  }
}

export type Reached = 'nothing' | 'open' | 'serving'

/** Starts a server and kills it after so many milliseconds, or as soon as it recovers. Tells how far it had come. */
export async function killStarting(place: Place, config: string, when: number | 'recovering'): Promise<Reached> {
  const began = Date.now()
  const env = {
    ...process.env,
    ...place.env,
    REGISTRY_CONFIGURATION_PATH: config,
    REGISTRY_HTTP_ADDR: `127.0.0.1:${await freePort()}`,
    REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: place.root,
  }
  const child = spawn(process.execPath, [programOf(place.tree), 'serve'], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => (output += part))
  if (when === 'recovering') await untilWritten(place.root, began)
  else await sleep(when)
  // Another process may have taken the port meanwhile.
  if (child.exitCode !== null && output.includes('EADDRINUSE')) return 'nothing'
  if (child.exitCode !== null) throw new Error(`the server ended by itself:\n${output}`)
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
  if (output.includes('Berth serves')) return 'serving'
  return hasWritten(place.root, began) ? 'open' : 'nothing'
}

/** What a start finishes, it writes to the log of its database. */
function hasWritten(root: string, since: number): boolean {
  const log = statSync(join(root, 'berth', 'berth.db-wal'), { throwIfNoEntry: false })
  return log !== undefined && log.mtimeMs >= since
}

async function untilWritten(root: string, since: number): Promise<void> {
  const deadline = since + patienceMs
  while (!hasWritten(root, since) && Date.now() < deadline) await sleep(1)
  await sleep(Math.random() * recoveryMs)
}
