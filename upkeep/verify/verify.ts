/**
 * Reads everything that is stored and says what is not as it must be. It goes by SQL, which is the truth, and then by
 * what storage holds beside that.
 *
 * ```
 * blobs ────────► files ───────► repositories ───────────► trash ─────────► damages
 * rows: bytes     bytes and      link files, manifests,    documents        what was wrong
 * hashed          strays that    what they refer to,                        and is not any more
 *                 no row names   tags
 * ```
 *
 * Damaged bytes are not served any more and wait for a push. With `repair` storage is made to say what SQL does, and what
 * storage alone can prove becomes a fact. Nothing is guessed.
 */
import { LockBusy } from '../../coordination/locks.ts'
import type { Operations } from '../operations.ts'
import { withinRequests } from '../pace.ts'
import { verifyBlobs } from './blobs.ts'
import { sweepDamages } from './damages.ts'
import { verifyFiles } from './files.ts'
import { NotVerified, type VerifyParts } from './parts.ts'
import { verifyNames, verifyRepositories } from './repositories.ts'
import { beginRun, type Phase, phases, type Run } from './run.ts'
import { verifyTrash } from './trash.ts'

export { NotVerified, type VerifyParts } from './parts.ts'

/** `verify` fails with `NotVerified` where a run is under way, or where SQL does not know every repository yet. */
export type Verifier = Pick<Operations, 'verify'>

const workOf: Readonly<Record<Phase, (parts: VerifyParts, run: Run) => Promise<void>>> = {
  blobs: verifyBlobs,
  files: verifyFiles,
  repositories: verifyRepositories,
  names: verifyNames,
  trash: verifyTrash,
  damages: sweepDamages,
}

export function createVerifier(parts: VerifyParts): Verifier {
  const { locks, adoption, settler } = parts
  return {
    async verify(options, tell, signal) {
      if (!adoption.complete) {
        throw new NotVerified('the volume is still being read: verifying it makes sense when that is done')
      }
      try {
        return await locks.hold('verify', { when: 'give up' }, async () => {
          const paced = withinRequests(parts, options.requestsPerSecond)
          const run = await beginRun(paced, options, tell, signal)
          for (const phase of phases.slice(phases.indexOf(run.phase))) {
            signal?.throwIfAborted()
            if (phase !== run.phase) await run.enter(phase)
            await workOf[phase](paced, run)
          }
          await settler.clear()
          return run.end()
        })
      } catch (error) {
        if (error instanceof LockBusy) throw new NotVerified('the store is being verified already')
        throw error
      }
    },
  }
}
