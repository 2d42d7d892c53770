/**
 * The rules of collection, tried in every order that pushes, deletions, the trash, collectors, crashes and recovery can
 * take (`model.ts`). Each rule is also left out once, to show that the search would find what it prevents.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { explore } from './explore.ts'
import { broken, harmless, recommended, scenarios, weakened } from './protocol.ts'

/** What must have happened somewhere, or the search proved nothing. */
const moments = [
  'uploader: blob live and linked, 201',
  'uploader: commits again',
  'restorer: manifest back',
  'collector1: in use',
  'collector1: claimed by another',
  'collector1: bytes deleted',
  'collector2: row forgotten',
  'the claim ends',
  'upkeep settles the link file',
  'recovery: pardons',
  'recovery: settles',
  'recovery: deletes condemned bytes',
  'recovery: the upload is finished',
  'recovery: the upload goes on receiving',
]
const momentsOf = {
  layer: [...moments, 'mounter: mounts', 'mounter: manifest refused', 'pusher: HEAD touches nothing'],
  manifest: [
    ...moments,
    'recovery: drops bytes of a manifest',
    'upkeep takes up an unfinished push',
    'mounter: manifest recorded',
  ],
  grace: [...moments, 'the grace of the link ends', 'pusher: HEAD touches, 200'],
}

describe('collection', () => {
  for (const scenario of scenarios) {
    test(`keeps its promises in every order of events (${scenario})`, (t) => {
      const found = explore({ ...recommended, scenario })
      t.diagnostic(`${found.states} states, ${found.steps} steps, ${found.seconds.toFixed(1)} s`)
      assert.equal(found.violation, undefined)
      assert.ok(found.states > 100_000, `only ${found.states} states`)
      for (const moment of momentsOf[scenario]) assert.ok(found.labels.has(moment), `never happened: ${moment}`)
    })
  }
})

describe('a promise is broken where', () => {
  for (const variant of broken) {
    test(variant.name, (t) => {
      const { violation, states } = explore({ ...weakened(variant), scenario: variant.scenario }, { named: true })
      assert.ok(violation, `no promise was broken in ${states} states`)
      t.diagnostic([`${violation.promise}, after ${states} states`, ...violation.trace].join('\n'))
      assert.equal(violation.promise.slice(0, 2), variant.breaks)
    })
  }
})

describe('no promise is broken where', () => {
  for (const variant of harmless) {
    test(variant.name, () => {
      assert.equal(explore({ ...weakened(variant), scenario: variant.scenario }).violation, undefined)
    })
  }
})

test('every rule is left out once', () => {
  const leftOut = new Set([...broken, ...harmless].flatMap(({ without }) => without))
  assert.deepEqual(
    Object.keys(recommended).filter((rule) => !leftOut.has(rule as keyof typeof recommended)),
    [],
  )
})
