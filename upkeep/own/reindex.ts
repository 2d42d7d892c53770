/** Believing storage from now on, and nothing that the database said. */
import { StartRefused } from '../../oci/failure.ts'
import type { Settler } from '../../registry/settle.ts'
import { type Adopter, type AdopterParts, createAdopter } from '../adopt/adopt.ts'
import { beginAdoption } from '../adopt/phase.ts'
import type { Tell } from '../operations.ts'
import { settleCompletely } from './release.ts'

export interface ReindexParts extends AdopterParts {
  readonly settler: Settler
}

/** While nobody serves the store. Link files that storage still lacks are written first: they were promised. */
export async function reindex(parts: ReindexParts, signal: AbortSignal, tell: Tell): Promise<Adopter> {
  const owed = await settleCompletely(parts)
  if (owed.length > 0) {
    throw new StartRefused(
      `what the database knows cannot be written to storage (${owed.join(', ')}), and would be lost: ` +
        'see that there is room, and that the folder can be written',
    )
  }
  await parts.facts.write((changed) => beginAdoption(changed, 'reindex was asked for'))
  const adopter = await createAdopter(parts)
  await adopter.run(signal, tell)
  return adopter
}
