/**
 * How soon a large volume of another registry can be pulled from, and what reading it costs.
 *
 *   node bin/node.js test/volumes/first-pull.ts [repositories] [folder]
 *
 * The folder must be on the disk that is to be measured; what is written there is removed again.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startBerth } from '../support/berth-process.ts'
import { createClient } from '../support/client.ts'
import { projectRoot } from '../support/tools.ts'
import { statusOf } from './berth-command.ts'
import { writeWideVolume } from './wide-volume.ts'

const [count = '20000', folder = tmpdir()] = process.argv.slice(2)
const repositories = Number(count)
const root = mkdtempSync(join(folder, 'berth-wide-'))
try {
  const wide = await measure('writing the volume', async () => writeWideVolume(root, repositories))
  await measure('find and cat of all links', async () => readLinks())
  await measure('find and cat of all links, again', async () => readLinks())
  const began = performance.now()
  const berth = await startBerth({ root })
  const ready = performance.now()
  const last = repositories - 1
  const { status } = await createClient(berth.url).getManifest(wide.nameOf(last), 'v1')
  say(
    `from start to /readyz ${seconds(ready - began)}, to the first pull (${status}) ${seconds(performance.now() - began)}`,
  )
  while (!/"?read the whole volume/.test(berth.output())) await sleep(100)
  say(`adoption ${seconds(performance.now() - ready)} after /readyz, peak RSS ${peakOf(berth.pid)} MiB`)
  await berth.stop()
  await measure('reindex', reindex)
  say(JSON.stringify((await statusOf(root)).repositories))
} finally {
  rmSync(root, { recursive: true, force: true })
}

async function reindex(): Promise<void> {
  const env = { ...process.env, REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: root }
  const child = spawn(process.execPath, [join(projectRoot, 'bin/berth.js'), 'reindex'], {
    env,
    stdio: ['ignore', 'inherit', 'ignore'],
  })
  let peak = 0
  const watching = setInterval(() => {
    try {
      peak = peakOf(child.pid ?? 0)
    } catch {
      // It has just ended.
    }
  }, 200)
  await once(child, 'exit')
  clearInterval(watching)
  say(`reindex ended with ${child.exitCode}, peak RSS ${peak} MiB`)
}

function readLinks(): void {
  const command = `find ${JSON.stringify(join(root, 'docker'))} -name link -print0 | xargs -0 cat >/dev/null`
  execFileSync('sh', ['-c', command])
}

async function measure<T>(what: string, work: () => Promise<T>): Promise<T> {
  const began = performance.now()
  const result = await work()
  say(`${what} ${seconds(performance.now() - began)}`)
  return result
}

function peakOf(pid: number): number {
  return Math.round(Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024)
}

function say(line: string): void {
  console.log(line)
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`
}
