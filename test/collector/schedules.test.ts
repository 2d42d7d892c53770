import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { sabotages } from './sabotages.ts'
import { type Laboratory, openLaboratory, type Planted } from './schedules.ts'

/** A machine that is busy with something else tries fewer. */
const longestMs = 40_000
const schedules = 1500
const fewest = 50

describe('pushes, deletions, the trash and two collectors in random orders', () => {
  let laboratory: Laboratory
  before(async () => {
    laboratory = await openLaboratory()
  })
  after(() => laboratory.close())

  test('lose nothing, leave nothing, and leave no link that leads to nothing', { timeout: 280_000 }, async (t) => {
    const end = Date.now() + longestMs
    let tried = 0
    for (let seed = 1; seed <= schedules && (tried < fewest || Date.now() < end); seed++, tried++) {
      const { broken, trace } = await laboratory.run(seed)
      assert.deepEqual(broken, [], `seed ${seed}:\n${trace.join('\n')}`)
    }
    t.diagnostic(`${tried} schedules`)
  })

  test('are the same for the same seed', async () => {
    for (const seed of [1, 2, 3, 4]) {
      const [one, other] = [await laboratory.run(seed), await laboratory.run(seed)]
      assert.ok(one.trace.length > 10)
      assert.deepEqual(one.trace, other.trace)
    }
  })

  /** The rare ones take minutes to find: they are for the command. */
  const common = Object.entries(sabotages).filter(([, { shownWithin }]) => shownWithin <= 100)
  for (const [name, { planted, shownWithin, says }] of common) {
    test(`show a collector that ${name}`, { timeout: 120_000 }, async () => {
      assert.ok(await findIn(laboratory, planted, says, shownWithin * 5), 'no schedule showed it')
    })
  }
})

async function findIn(laboratory: Laboratory, planted: Planted, says: RegExp, most: number): Promise<boolean> {
  for (let seed = 1; seed <= most; seed++) {
    const { broken } = await laboratory.run(seed, planted)
    if (says.test(broken.join('\n'))) return true
  }
  return false
}
