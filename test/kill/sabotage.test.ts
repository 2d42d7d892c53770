/** Servers with one mistake each: the campaign that finds nothing in Berth finds every one of them. */
import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { runCampaign } from './campaign.ts'
import { sabotage, sabotages } from './sabotage.ts'

/** Most are found in the first three. */
const mostRounds = 15

for (const { name, edits, finding, isSeenWhenStopped } of sabotages) {
  test(`a server is found out that ${name}`, async (t) => {
    const tree = await sabotage(edits)
    const { findings, figures, root } = await runCampaign({
      rounds: mostRounds,
      tree,
      stopEvery: isSeenWhenStopped ? 2 : 5,
    })
    await rm(tree, { recursive: true })
    if (root) await rm(dirname(root), { recursive: true })
    t.diagnostic(`found in round ${figures.rounds}, after ${figures.operations} requests`)
    assert.match(findings.join('\n'), finding)
  })
}
