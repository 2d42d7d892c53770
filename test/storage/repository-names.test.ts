/** Which repositories a volume is found to hold. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { StorageDriver } from '../../storage/driver.ts'
import { layout } from '../../storage/layout.ts'
import { nameOf } from '../contracts/facts-tools.ts'
import { drivers, namesIn, one, put } from './found-tools.ts'

for (const [kind, open] of Object.entries(drivers)) {
  describe(`the names of repositories in ${kind}`, () => {
    const all = ['a', 'a/b', 'a/b/c', 'a-b', 'a.b', 'a0', 'org/app', 'org/only-layers']

    async function fill(driver: StorageDriver): Promise<void> {
      for (const each of all.toReversed()) {
        const key = each.endsWith('layers') ? layout.layer : layout.revision
        await put(driver, key(nameOf(each), one), one)
      }
    }

    test('are all that hold layers or manifests, nested ones too, in the order of their components', async (t) => {
      const driver = open(t)
      await fill(driver)
      await put(driver, `${layout.repositories}/uploads-only/_uploads/1/data`, 'x')
      assert.deepEqual(await namesIn(driver), { names: all, odd: [] })
      assert.deepEqual(await namesIn(open(t)), { names: [], odd: [] })
    })

    test('go on behind any name, whether or not it is still there', async (t) => {
      const driver = open(t)
      await fill(driver)
      for (const [index, each] of all.entries()) {
        assert.deepEqual((await namesIn(driver, each)).names, all.slice(index + 1), each)
      }
      assert.deepEqual((await namesIn(driver, 'a/b/gone')).names, all.slice(3))
      assert.deepEqual((await namesIn(driver, 'a/a')).names, all.slice(1))
      assert.deepEqual((await namesIn(driver, 'zzz')).names, [])
    })

    test('are not what only looks like one, and that is told once', async (t) => {
      const driver = open(t)
      await fill(driver)
      const long = 'l'.repeat(200)
      for (const path of ['Upper/app/_manifests/x', 'a/-b/_layers/x', 'file', 'org/file.tmp', 'org/_layers']) {
        await put(driver, `${layout.repositories}/${path}`, 'x')
      }
      await put(driver, `${layout.repositories}/${long}/${long}/_manifests/x`, 'x')
      await put(driver, `${layout.repositories}/_odd/app/_manifests/x`, 'x')
      assert.deepEqual(await namesIn(driver), {
        names: all,
        odd: ['Upper', 'a/-b', 'file', `${long}/${long}`, 'org/_layers', 'org/file.tmp'],
      })
    })
  })
}
