/** A volume that an old registry has filled and no longer serves. */
import type { TestContext } from 'node:test'
import { takeCensus, withAll } from './census.ts'
import { newFolder } from './ending.ts'
import { type Filled, fill } from './fill.ts'
import { createFiller, type Pushed } from './filler.ts'
import type { OldProgram } from './old-registry.ts'

export interface FilledVolume {
  readonly root: string
  readonly filled: Filled
  readonly pushed: Pushed
  /** As the old registry answered. */
  readonly census: readonly string[]
}

export async function fillWith(t: TestContext, old: OldProgram): Promise<FilledVolume> {
  const root = newFolder(t)
  const registry = await old.serve(root)
  const filler = createFiller(registry.client, registry.url)
  const filled = await fill(filler, { deletesTags: old.version === '3' })
  const census = await takeCensus(registry.client, filler.pushed)
  await registry.stop()
  return { root, filled, census: withAll(census), pushed: filler.pushed }
}
