// node bin/node.js test/power-cut/run.ts [--file-system ext4,xfs,btrfs] [--snapshots 200]
//   --without NAME   on a copy of the sources that lacks one thing it needs (see removals.ts): must find defects
//   --keep FOLDER    keeps the image of each snapshot that has a defect
// Cuts the power of a registry under load and checks what is left. Needs root, loop devices and mkfs.
// Ends with 0 if all is well, 2 if it cannot be tried here, 3 if it was tried in vain, 4 if there are defects.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { findTool, projectRoot, tool } from '../support/tools.ts'
import { type FileSystem, fileSystems, type Host, openHost } from './disk.ts'
import { copyWithout } from './removals.ts'
import { runSession, type Totals } from './session.ts'

/** More in one load would only make each check longer. */
const snapshotsInSession = 10
const impossible = 2
const inVain = 3
const defective = 4
const namespaces = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--mount-proc', '--']

const { values } = parseArgs({
  options: {
    'file-system': { type: 'string', default: fileSystems.join(',') },
    snapshots: { type: 'string', default: '200' },
    without: { type: 'string' },
    keep: { type: 'string' },
    inside: { type: 'string' },
  },
})
const chosen = values['file-system'].split(',').map(fileSystemOf)
const wanted = Number(values.snapshots)
if (!(wanted >= 1)) throw new Error(`--snapshots wants a number, not ${values.snapshots}`)

if (values.inside === undefined) await runOutside()
else await runInside(values.inside)

function fileSystemOf(text: string): FileSystem {
  const found = fileSystems.find((each) => each === text)
  if (!found) throw new Error(`--file-system wants some of ${fileSystems.join(', ')}, not ${text}`)
  return found
}

/** All mounts and processes are made in namespaces that end with their first process, however that ends. */
async function runOutside(): Promise<void> {
  const missing = whatIsMissing()
  if (missing !== undefined) return refuse(missing)
  const folder = await mkdtemp(join(tmpdir(), 'berth-power-cut-'))
  let child: ChildProcess | undefined
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child?.kill('SIGKILL'))
  try {
    const sources = values.without === undefined ? projectRoot : join(folder, 'sources')
    if (values.without !== undefined) copyWithout(values.without, sources)
    child = spawn(tool('unshare'), [...namespaces, process.execPath, ...insideArguments(sources, folder)], {
      // The first process inside ends when this pipe does, and so with this process.
      stdio: ['pipe', 'inherit', 'inherit'],
      env: { ...process.env, TMPDIR: folder },
    })
    const [code] = (await once(child, 'exit')) as [number | null]
    process.exitCode = values.without === undefined ? (code ?? 1) : reverse(code)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function insideArguments(sources: string, folder: string): string[] {
  const script = join(sources, relative(projectRoot, import.meta.filename))
  const keep = values.keep === undefined ? [] : ['--keep', resolve(values.keep)]
  return [script, '--inside', folder, '--file-system', chosen.join(','), '--snapshots', String(wanted), ...keep]
}

/** Without what makes Berth durable, no defect is the defect. */
function reverse(code: number | null): number {
  if (code !== 0 && code !== defective) return code ?? 1
  console.log(code === 0 ? `NOT NOTICED: without ${values.without}` : `noticed: without ${values.without}`)
  return code === 0 ? defective : 0
}

function whatIsMissing(): string | undefined {
  if (process.platform !== 'linux') return 'it needs Linux'
  if (process.getuid?.() !== 0) return 'it needs root, to mount file systems'
  const tools = ['unshare', 'mount', 'umount', 'mkfs.xfs', ...chosen.map((each) => `mkfs.${each}`)]
  const missing = [...new Set(tools)].filter((name) => findTool(name) === undefined)
  if (missing.length > 0) return `${missing.join(', ')} not found`
  const { status, stderr } = spawnSync(tool('unshare'), [...namespaces, 'true'], { encoding: 'utf8' })
  return status === 0 ? undefined : `namespaces may not be made: ${stderr.trim()}`
}

function refuse(reason: string): void {
  console.log(`not possible here: ${reason}`)
  process.exitCode = impossible
}

async function runInside(folder: string): Promise<void> {
  process.stdin.on('end', () => process.exit(1)).resume()
  const host = await openHost(folder).catch((error: Error) => refuse(`a file cannot be mounted: ${error.message}`))
  if (host) {
    for (const fileSystem of chosen) {
      const obstacle = await host.tryOut(fileSystem)
      if (obstacle === undefined) await runFileSystem(host, fileSystem)
      else refuse(`${fileSystem} cannot be mounted: ${obstacle}`)
    }
    await host.close()
  }
  process.stdin.destroy()
}

async function runFileSystem(host: Host, fileSystem: FileSystem): Promise<void> {
  const none = { acknowledged: 0, continued: 0, sentAnew: 0 }
  const totals: Totals = { snapshots: 0, again: 0, failures: 0, requests: 0, ...none }
  const began = performance.now()
  const usual = Math.min(snapshotsInSession, Math.ceil(wanted / 2))
  for (let apart = false; totals.snapshots < wanted; apart = !apart) {
    const snapshots = Math.min(usual, wanted - totals.snapshots)
    await runSession(host, { fileSystem, snapshots, apart, keep: values.keep, tell: console.log }, totals)
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  console.log(
    `${fileSystem}: ${totals.snapshots} snapshots (${totals.again} cut again while starting), ` +
      `${totals.failures} with defects, ${seconds} s; ${totals.requests} changes acknowledged under load, ` +
      `${totals.acknowledged} looked for after a cut, ${totals.continued} uploads continued, ${totals.sentAnew} sent anew`,
  )
  if (totals.failures > 0) process.exitCode = defective
  if (totals.acknowledged > 0) return
  console.log(`${fileSystem}: nothing had been acknowledged before a cut, so that nothing was tried`)
  process.exitCode = inVain
}
