/**
 * What must be known of storage before anything is taken out of it: a volume of another registry is read, and one of
 * ours is compared with its database, because another program may have written to it meanwhile.
 */
import type { LocalParts } from '../../registry/local-parts.ts'
import type { Adopter, AdopterParts } from '../../upkeep/adopt/adopt.ts'
import { createComparer } from '../../upkeep/adopt/compare.ts'
import { NotCollected } from '../../upkeep/collect/parts.ts'
import type { Progress, Tell } from '../../upkeep/operations.ts'

const toldEveryMs = 500

export interface CatchUp {
  /** Once: in the background of a server, or before a command begins. Rejects where it could not be done. */
  run(signal: AbortSignal, tell: Tell): Promise<void>
  /** Waits for the comparison. Fails with `NotCollected` where the volume is still being read, or looks wrong. */
  finished(tell: Tell, signal: AbortSignal | undefined): Promise<void>
}

export function createCatchUp(parts: LocalParts, adopterParts: AdopterParts, adopter: Adopter): CatchUp {
  const comparer = createComparer({ ...adopterParts, settler: parts.settler, adopter })
  let progress: Progress = { phase: 'comparing', done: 0, unit: 'repositories' }
  let state: 'pending' | 'done' | { readonly refused: string } = 'pending'
  /** That may take hours; comparing, and reading again what differs, does not. */
  const isTakenOver = adopter.status().phase !== 'done'

  async function catchUp(signal: AbortSignal, tell: Tell): Promise<void> {
    await parts.settler.settleAll()
    if (adopter.status().phase !== 'done') {
      await adopter.run(signal, tell)
      return
    }
    const { refused } = await comparer.run(signal, (next) => {
      progress = next
      tell(next)
    })
    if (refused !== undefined) state = { refused }
  }

  return {
    async run(signal, tell) {
      try {
        await catchUp(signal, tell)
        if (state === 'pending') state = 'done'
      } catch (error) {
        state = { refused: 'the volume could not be compared with its database: the log says why' }
        throw error
      }
    },
    async finished(tell, signal) {
      for (;;) {
        signal?.throwIfAborted()
        const isRead = adopter.status().phase === 'done'
        if (isTakenOver && !isRead) {
          throw new NotCollected('the volume is still being read: "berth status" tells how far it has come')
        }
        if (state === 'done' && isRead) return
        if (typeof state === 'object') throw new NotCollected(state.refused)
        tell(progress)
        await new Promise((resolve) => setTimeout(resolve, toldEveryMs))
      }
    },
  }
}
