/** A store with some content, and the program that is asked about it. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Client, createClient } from '../support/client.ts'
import { startTestRegistry } from '../support/test-registry.ts'
import { type Result, run } from './command.ts'

/** What is deleted, or pushed and never referred to, may go at once. */
export const impatient = {
  REGISTRY_COLLECTOR_GRACE: '1ms',
  REGISTRY_COLLECTOR_TRASH: '0',
  REGISTRY_COLLECTOR_INTERVAL: '0',
}

/** Removed after the test, when whoever serves it has stopped. */
export function newRoot(t: TestContext, stop: () => Promise<unknown> = async () => {}): string {
  const root = mkdtempSync(join(tmpdir(), 'berth-store-'))
  t.after(async () => {
    await stop()
    rmSync(root, { recursive: true, force: true })
  })
  return root
}

export interface Subject {
  readonly client: Client
  readonly root: string
  berth(...args: string[]): Promise<Result>
  /** Its outcome as JSON. */
  json<T>(...args: string[]): Promise<T>
}

export type Place = 'beside a server' | 'without a server'

/** Content is pushed to a server, which ends before the command runs where there is to be none. */
export async function subject(
  t: TestContext,
  place: Place,
  prepare: (client: Client) => Promise<unknown>,
  env: Partial<typeof impatient> = {},
): Promise<Subject> {
  const root = newRoot(t, () => registry.stop())
  const patient = env.REGISTRY_COLLECTOR_GRACE === undefined
  const trashMs = env.REGISTRY_COLLECTOR_TRASH === '0' ? 0 : 604_800_000
  const collector = { graceMs: patient ? 86_400_000 : 1, intervalMs: 0, trashMs }
  const registry = await startTestRegistry({ collector }, root)
  const client = createClient(registry.url)
  await prepare(client)
  if (place === 'without a server') await registry.stop()
  const variables = { REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: root, ...env }
  const berth = (...args: string[]) => run(args, variables).result
  return {
    client,
    root,
    berth,
    async json(...args) {
      const { stdout, stderr, code } = await berth(...args, '--json')
      assert.equal(code, 0, stderr)
      return JSON.parse(stdout)
    },
  }
}

export const blobFiles = (root: string): string[] =>
  readdirSync(join(root, 'docker/registry/v2/blobs'), { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('/data'),
  )
