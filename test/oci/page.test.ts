import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { pageOf } from '../../oci/page.ts'

test('pages that follow one another are the whole list, and only the last names no next', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string({ minLength: 1 })), fc.integer({ min: 1, max: 7 }), (values, limit) => {
      const all = [...values].sort()
      const walked: string[] = []
      for (let after: string | undefined = ''; after !== undefined; ) {
        const from: string = after
        const rows = all.filter((value) => value > from).slice(0, limit + 1)
        const page = pageOf(rows, limit, (entry) => entry)
        assert.ok(page.entries.length <= limit)
        assert.equal(page.next !== undefined, rows.length > limit)
        walked.push(...page.entries)
        after = page.next
      }
      assert.deepEqual(walked, all)
    }),
  )
})

test('a page of nothing is empty and the last', () => {
  assert.deepEqual(
    pageOf([], 10, () => ''),
    { entries: [] },
  )
  assert.deepEqual(
    pageOf(['a'], 0, (entry) => entry),
    { entries: [] },
  )
})
