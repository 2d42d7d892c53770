import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { StartRefused } from '../../oci/failure.ts'
import type { Examined } from '../../storage/driver.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { examineOnce } from '../../upkeep/own/examined.ts'
import { openLocal } from '../contracts/local-registry.ts'

const whole: Examined = { check: 'what was written is read back', ok: true, detail: 'at once' }
const versioned: Examined = { check: 'versioning', ok: false, detail: 'it is on', isWarning: true }
const lying: Examined = { check: 'what was deleted is gone', ok: false, detail: 'it can still be read' }

async function subject(results: () => readonly Examined[]) {
  const local = await openLocal(new MemoryDriver())
  const told: object[] = []
  let asked = 0
  const driver = {
    examine: async () => {
      asked++
      return results()
    },
  }
  const parts = { facts: local.parts.facts, driver, told: (figures: object) => void told.push(figures) }
  return { parts, told, asked: () => asked, close: () => local.close() }
}

describe('a store that can be relied on', () => {
  test('is tried once, and again where it is another', async (t) => {
    const { parts, asked, close } = await subject(() => [whole])
    t.after(close)
    for (const place of ['bucket', 'bucket', 'other', 'other']) await examineOnce(parts, place)
    assert.equal(asked(), 2)
  })

  test('is taken with what its owner should know, which is told', async (t) => {
    const { parts, told, close } = await subject(() => [whole, versioned])
    t.after(close)
    await examineOnce(parts, 'bucket')
    assert.deepEqual(told, [{ check: 'versioning', detail: 'it is on' }])
  })
})

describe('a store that does something else than it says', () => {
  test('is refused with the reason, and tried again at the next start', async (t) => {
    let results: readonly Examined[] = [whole, lying]
    const { parts, asked, close } = await subject(() => results)
    t.after(close)
    await assert.rejects(
      examineOnce(parts, 'bucket'),
      (error) =>
        error instanceof StartRefused && /"what was deleted is gone".*it can still be read/.test(error.message),
    )
    results = [whole]
    await examineOnce(parts, 'bucket')
    assert.equal(asked(), 2)
  })
})
