/** A registry that is killed again and again in the middle of everything that clients do. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CampaignOptions, runCampaign } from './campaign.ts'
import { collect, withoutGrace } from './collector.ts'
import type { Figures } from './world.ts'

const rounds = 7

async function findNothing(options: Partial<CampaignOptions>): Promise<Figures> {
  const { figures, findings, root } = await runCampaign({ rounds, stopEvery: 3, ...options })
  assert.deepEqual(findings, [], `the folder is ${root}`)
  assert.equal(figures.rounds, rounds)
  assert.ok(figures.killedAtWork > rounds / 2 && figures.stops > 1, JSON.stringify(figures))
  assert.ok(figures.acknowledged > 50 && figures.read > 50, `too little to prove anything: ${JSON.stringify(figures)}`)
  return figures
}

test('whatever is killed when, all answers make sense together and nothing acknowledged is lost', async () => {
  await findNothing({})
})

test('so it is where everything that nothing refers to is collected meanwhile', async () => {
  const { collections } = await findNothing({ collect, env: withoutGrace })
  assert.ok(collections > 0)
})
