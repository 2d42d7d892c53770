/** The registries that the layout comes from, as they are installed: Docker's of 2.8, and distribution's of 3. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { freePort } from '../support/berth-process.ts'
import { type Client, createClient } from '../support/client.ts'
import { everythingRequired, findTool } from '../support/tools.ts'
import { atEnd, newFolder } from './ending.ts'

export type OldVersion = '2.8' | '3'
export const oldVersions: readonly OldVersion[] = ['2.8', '3']

export interface OldRegistry {
  readonly version: OldVersion
  readonly url: string
  readonly client: Client
  stop(): Promise<void>
}

export interface OldProgram {
  readonly version: OldVersion
  /** Serves `root` until it is stopped, or the test ends. */
  serve(root: string): Promise<OldRegistry>
  /** What it printed. */
  collectGarbage(root: string, ...flags: string[]): Promise<string>
}

const missing = {
  '2.8': 'docker-registry is not on PATH',
  '3': 'registry of distribution 3 is neither built by .ci/install-go-tools nor named by BERTH_TEST_REGISTRY3',
} as const

/** Where it is missing, the test is skipped and the answer is undefined. */
export function requireOld(t: TestContext, version: OldVersion): OldProgram | undefined {
  const path = findOld(version)
  if (path === undefined) {
    if (everythingRequired) throw new Error(missing[version])
    t.skip(`not tried here: ${missing[version]}`)
    return undefined
  }
  return {
    version,
    serve: (root) => serve(t, path, version, root),
    async collectGarbage(root, ...flags) {
      const config = await writeConfig(t, root, 0)
      const { stdout, stderr } = await promisify(execFile)(path, ['garbage-collect', ...flags, config])
      return stdout + stderr
    },
  }
}

function findOld(version: OldVersion): string | undefined {
  if (version === '2.8') return findTool('docker-registry')
  const named = process.env['BERTH_TEST_REGISTRY3'] ?? findTool('registry')
  if (named === undefined) return undefined
  // Others carry that name, too: Berth itself for one.
  const { stdout = '' } = spawnSync(named, ['--version'], { encoding: 'utf8' })
  return /distribution\/v3/.test(stdout) ? named : undefined
}

async function serve(t: TestContext, path: string, version: OldVersion, root: string): Promise<OldRegistry> {
  const port = await freePort()
  const child = spawn(path, ['serve', await writeConfig(t, root, port)], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (text) => {
    said += text
  })
  atEnd(t, () => end(child, 'SIGKILL'))
  const url = `http://127.0.0.1:${port}`
  for (;;) {
    assert.equal(child.exitCode, null, `the old registry ended: ${said}`)
    if (await fetch(`${url}/v2/`).catch(() => undefined)) break
    await sleep(30)
  }
  return { version, url, client: createClient(url), stop: () => end(child, 'SIGTERM') }
}

async function end(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill(signal)
  await gone
}

/** A file that Berth understands as well. */
export async function writeConfig(t: TestContext, root: string, port: number): Promise<string> {
  const folder = newFolder(t)
  const file = join(folder, 'config.yml')
  const text = `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: ${JSON.stringify(root)}}
  delete: {enabled: true}
http: {addr: '127.0.0.1:${port}'}
`
  await writeFile(file, text)
  return file
}
