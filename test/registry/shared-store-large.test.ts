import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createInProcessLocks } from '../../coordination/in-process.ts'
import { layout } from '../../storage/layout.ts'
import { adoptBlobs } from '../../upkeep/adopt/blobs.ts'
import { forgetFinished } from '../../upkeep/expire.ts'
import { pushBlob } from '../contracts/push.ts'
import { pulled } from '../contracts/registry-tools.ts'
import { createGate, digests, hour, large, withStore } from './shared-store-tools.ts'

const digest = digests.large

describe('a large blob that is not copied to its place yet', () => {
  test('is not taken for a missing one by who reads the volume', () =>
    withStore(async (store) => {
      const driver = await store.driver()
      const node = await store.node({ driver })
      const { blobs } = node.repository
      await pushBlob(node.repository, large)
      // So it is: nothing stands under any key of a blob, which is quicker said than asked five hundred times.
      assert.deepEqual(
        store.s3.keys().filter((key) => key.startsWith(layout.blobs)),
        [],
      )
      driver.children = async function* () {}
      const fail = (error: unknown) => {
        throw error
      }
      const reading = { ...node.parts, told: () => {}, onError: fail }
      const found = await adoptBlobs(reading, new AbortController().signal, () => {})
      assert.deepEqual(found, { unknown: 0, missing: 0 })
      assert.deepEqual(node.damaged, [])
      assert.equal((await blobs.stat(digest)).size, large.length)
      await node.parts.settler.settleBytes()
      assert.ok(store.object(digest)?.equals(large))
      assert.ok((await pulled(blobs.open(digest))).equals(large))
    }))

  test('can be pushed once more while it is being copied', () =>
    withStore(async (store) => {
      const [locks, driver, gate] = [createInProcessLocks(), await store.driver(), createGate()]
      const [copying, pushing] = [await store.node({ locks, driver }), await store.node({ locks })]
      await pushBlob(copying.repository, large)
      const copy = driver.copy.bind(driver)
      driver.copy = async (from, to) => {
        await gate.pass()
        await copy(from, to)
      }
      const settling = copying.parts.settler.settleBytes()
      await gate.reached
      await pushBlob(pushing.repository, large)
      assert.equal(store.object(digest), undefined, 'nothing was copied before')
      gate.open()
      await settling
      await copying.parts.settler.settleBytes()
      assert.deepEqual([...copying.failed, ...copying.damaged, ...pushing.failed, ...pushing.damaged], [])
      assert.equal((await store.facts.read.collection.find(digest))?.storedAt, undefined)
      assert.ok((await pulled(pushing.repository.blobs.open(digest))).equals(large))
    }))

  test('can be fetched for a while from where it was before', () =>
    withStore(async (store) => {
      const node = await store.node()
      const { blobs } = node.repository
      await pushBlob(node.repository, large)
      store.pass(hour + 1000)
      const url = await blobs.address(digest, { method: 'GET', contentType: 'application/octet-stream' })
      assert.ok(url?.includes(layout.uploads))
      await node.parts.settler.settleBytes()
      await forgetFinished(node.parts)
      assert.equal(await lengthAt(url), large.length)
      store.pass(hour + 1000)
      assert.equal(await forgetFinished(node.parts), 1)
      assert.deepEqual(
        store.s3.keys().filter((key) => key.startsWith(layout.uploads)),
        [],
      )
      assert.ok((await pulled(blobs.open(digest))).equals(large))
    }))
})

async function lengthAt(url = ''): Promise<number> {
  const answer = await fetch(url)
  assert.equal(answer.status, 200)
  return (await answer.arrayBuffer()).byteLength
}
