import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createBlobStore } from '../../storage/blob-store.ts'
import type { ObjectKey } from '../../storage/driver.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { createPace, withinRequests } from '../../upkeep/pace.ts'

const key = (text: string) => text as ObjectKey

describe('a pace', () => {
  test('lets no more through in a time than it was told', async () => {
    const pace = createPace(200)
    const began = performance.now()
    for (let n = 0; n < 21; n++) await pace(1)
    // The first goes at once; a timer may be a millisecond early.
    assert.ok(performance.now() - began >= 95)
  })

  test('without a limit waits for nothing, and changes no part', async () => {
    const driver = new MemoryDriver()
    const parts = { driver, blobs: createBlobStore(driver) }
    assert.equal(withinRequests(parts, undefined), parts)
  })
})

describe('a store within a number of requests', () => {
  test('answers as it does without, and waits before each question', async () => {
    const driver = new MemoryDriver()
    await driver.write(key('a/b'), Buffer.from('content'))
    const paced = withinRequests({ driver, blobs: createBlobStore(driver) }, 100)
    const began = performance.now()
    assert.equal((await paced.driver.stat(key('a/b')))?.size, 7)
    assert.equal(await paced.driver.stat(key('a/c')), undefined)
    assert.deepEqual(await Array.fromAsync(paced.driver.list(key('a')), (found) => String(found.key)), ['a/b'])
    assert.deepEqual(await Array.fromAsync(paced.driver.children(key('a'))), [{ name: 'b', kind: 'object' }])
    await paced.driver.write(key('a/d'), Buffer.from('more'))
    await paced.driver.delete(key('a/b'))
    assert.ok(performance.now() - began >= 45)
    assert.equal(await driver.stat(key('a/b')), undefined)
    assert.equal((await driver.stat(key('a/d')))?.size, 4)
    assert.equal(paced.driver.name, 'inmemory')
  })
})
