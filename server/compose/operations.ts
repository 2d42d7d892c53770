/** What an operator can ask of the store, put together from who does it. */
import manifest from '../../package.json' with { type: 'json' }
import type { LocalParts } from '../../registry/local-parts.ts'
import type { Adopter } from '../../upkeep/adopt/adopt.ts'
import { createBackup } from '../../upkeep/backup/backup.ts'
import type { Collector } from '../../upkeep/collect/collect.ts'
import { createTrash } from '../../upkeep/collect/trash.ts'
import type { Operations } from '../../upkeep/operations.ts'
import type { ReadOnlySwitch } from '../../upkeep/read-only.ts'
import type { SpaceWatch } from '../../upkeep/space.ts'
import { createStatus } from '../../upkeep/status.ts'
import { createVerifier } from '../../upkeep/verify/verify.ts'
import { locate, openCopy, openTarget } from './backup-target.ts'
import type { CatchUp } from './catch-up.ts'

interface OperationParts {
  readonly root: string
  readonly parts: LocalParts
  readonly adopter: Adopter
  readonly catchUp: CatchUp
  readonly collector: Collector
  readonly readOnly: ReadOnlySwitch
  readonly space: SpaceWatch
}

export function createOperations({
  root,
  parts,
  adopter,
  catchUp,
  collector,
  readOnly,
  space,
}: OperationParts): Operations {
  const { version } = manifest
  return {
    status: createStatus({ version, facts: parts.facts, adopter, collector, readOnly, space, clock: parts.clock }),
    async collect(options, tell, signal) {
      await catchUp.finished(tell, signal)
      return collector.run(options, tell, signal)
    },
    ...createTrash(parts),
    ...createVerifier(parts),
    ...createBackup({ ...parts, root: locate(root), locate, openTarget, openCopy }),
    async setReadOnly(on) {
      await readOnly.set(on)
      return readOnly.status()
    },
  }
}
