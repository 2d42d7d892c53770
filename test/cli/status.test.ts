import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeStatus } from '../../cli/status.ts'
import type { StoreStatus } from '../../upkeep/operations.ts'

const status: StoreStatus = {
  version: '1.0.0',
  store: { blobs: 0, bytes: 0 },
  repositories: { adopted: 0, unadopted: 0 },
  adoption: { phase: 'done', changedElsewhere: 0 },
  owed: 0,
  collector: { backlog: 0, running: false, freedBytes: 0 },
  trash: { entries: 0 },
  damages: 0,
  readOnly: { on: false, by: [] },
}

test('what is hidden is told in a line of its own, and only where something is', () => {
  assert.doesNotMatch(describeStatus(status, true), /hidden/)
  assert.match(describeStatus({ ...status, hidden: 'a/b leads elsewhere' }, true), /^hidden +a\/b leads elsewhere$/m)
})
