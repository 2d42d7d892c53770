/** A folder that one registry after the other serves. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Client, createClient } from './client.ts'
import { type Changes, startTestRegistry, type TestRegistry } from './test-registry.ts'

export interface Volume {
  readonly root: string
  /** Serves the folder; stops whoever served it before. */
  open(changes?: Changes): Promise<{ readonly registry: TestRegistry; readonly client: Client }>
  stop(): Promise<void>
}

/** It is removed after the test. */
export async function newVolume(t: TestContext): Promise<Volume> {
  const root = await mkdtemp(join(tmpdir(), 'berth-volume-'))
  let current: TestRegistry | undefined
  const stop = async () => current?.stop()
  t.after(async () => {
    await stop()
    await rm(root, { recursive: true, force: true })
  })
  return {
    root,
    stop,
    async open(changes = {}) {
      await stop()
      const registry = await startTestRegistry(changes, root)
      current = registry
      return { registry, client: createClient(registry.url) }
    },
  }
}
