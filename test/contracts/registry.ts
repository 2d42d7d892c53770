/** What a registry means to whoever serves it. One call runs every case, each on an empty registry of its own. */
import { describe, test } from 'node:test'
import type { Registry } from '../../registry/registry.ts'
import { blobCases } from './registry-blobs.ts'
import { listCases } from './registry-lists.ts'
import { manifestCases } from './registry-manifests.ts'

export interface OpenedRegistry {
  readonly registry: Registry
  close(): Promise<void>
}

export type RegistryCase = (registry: Registry) => Promise<void>

const cases: Readonly<Record<string, RegistryCase>> = { ...blobCases, ...manifestCases, ...listCases }

export function describeRegistry(name: string, open: () => Promise<OpenedRegistry>): void {
  describe(`a registry over ${name}`, () => {
    for (const [title, run] of Object.entries(cases)) {
      test(title, async () => {
        const opened = await open()
        try {
          await run(opened.registry)
        } finally {
          await opened.close()
        }
      })
    }
  })
}
