/** A registry and a client of it, for all tests of a file; it ends with them. */
import { after } from 'node:test'
import { type Client, createClient } from './client.ts'
import { type Changes, startTestRegistry, type TestRegistry } from './test-registry.ts'

export interface Served {
  readonly registry: TestRegistry
  readonly client: Client
}

export async function serve(changes: Changes = {}): Promise<Served> {
  const registry = await startTestRegistry(changes)
  after(() => registry.close())
  return { registry, client: createClient(registry.url) }
}

let count = 0
/** A repository that no other test of the file uses. */
export const freshName = (): string => `test/repository-${++count}`
