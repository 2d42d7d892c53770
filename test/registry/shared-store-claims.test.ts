import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createInProcessLocks } from '../../coordination/in-process.ts'
import { claimMarginMs, claimMs, whenPardoned } from '../../registry/pardon.ts'
import type { Settler } from '../../registry/settle.ts'
import { layout } from '../../storage/layout.ts'
import { chunkOf, pushBlob } from '../contracts/push.ts'
import { failsWith, pulled } from '../contracts/registry-tools.ts'
import {
  collect,
  createGate,
  digests,
  hour,
  leaveUnused,
  type Node,
  nothing,
  parted,
  type SharedStore,
  small,
  uploaded,
  withStore,
} from './shared-store-tools.ts'

const none = () => chunkOf(nothing)
const digest = digests.small

/** Between a collector's claim and the first of its deletions. */
function whenClaimed({ parts: { settler } }: Node, work: () => Promise<void>): Settler {
  return {
    ...settler,
    async settleAll() {
      const settled = await settler.settleAll()
      await work()
      return settled
    },
  }
}

async function condemned(store: SharedStore, node: Node): Promise<void> {
  await pushBlob(node.repository, small)
  await leaveUnused(store, node, digest)
  const until = store.now() + claimMs
  assert.ok(await store.facts.write((changed) => changed.collection.condemn(digest, until, store.now())))
}

describe('a push of bytes that a collector has claimed', () => {
  for (const [kind, behindMs] of Object.entries({ 'as late': 0, 'some seconds behind': 5000 })) {
    test(`waits for the deletion where its clock is ${kind}`, () =>
      withStore(async (store) => {
        const locks = createInProcessLocks()
        const clock = () => store.now() - behindMs
        const [collecting, pushing] = [await store.node({ locks }), await store.node({ locks, clock })]
        await pushBlob(pushing.repository, small)
        await leaveUnused(store, pushing, digest)
        const gate = createGate()
        const run = collect(
          collecting,
          whenClaimed(collecting, () => gate.pass()),
        )
        await gate.reached
        let isPushed = false
        const push = pushBlob(pushing.repository, small).then(() => {
          isPushed = true
        })
        await sleep(300)
        assert.ok(!isPushed, 'it is stored before the deletion is over')
        gate.open()
        assert.equal((await run).freedBlobs, 1)
        await push
        const fresh = await store.node()
        assert.ok((await pulled(fresh.repository.blobs.open(digest))).equals(small))
      }))
  }

  test('does not wait for ever where the clock was put back by hours', () =>
    withStore(async (store) => {
      const node = await store.node()
      await condemned(store, node)
      await whenPardoned({ facts: store.facts, clock: () => store.now() - 3 * hour }, digest)
      const late = await store.node({ clock: () => store.now() - 3 * hour })
      await pushBlob(late.repository, small)
      assert.ok((await pulled(late.repository.blobs.open(digest))).equals(small))
    }))
})

describe('a deletion', () => {
  test('is not begun late in its claim', () =>
    withStore(async (store) => {
      const node = await store.node()
      await pushBlob(node.repository, small)
      await leaveUnused(store, node, digest)
      const delayed = whenClaimed(node, async () => store.pass(claimMs - claimMarginMs + 1000))
      assert.equal((await collect(node, delayed)).freedBlobs, 0)
      assert.ok(store.object(digest)?.equals(small))
      store.pass(hour)
      assert.equal((await collect(node)).freedBlobs, 1)
      assert.equal(store.object(digest), undefined)
    }))
})

describe('bytes that were placed for an upload that is still open', () => {
  test('stay named when a request brings nothing, and are not collected', () =>
    withStore(async (store) => {
      const node = await store.node()
      await pushBlob(node.repository, parted)
      const id = await uploaded(node, chunkOf(small), none())
      assert.equal((await store.facts.read.uploads.find(id))?.committing, digest)
      store.pass(hour)
      await collect(node)
      assert.ok(store.object(digest)?.equals(small))
      await node.repository.uploads.commit(id, digest, none())
      assert.ok((await pulled(node.repository.blobs.open(digest))).equals(small))
    }))

  test('and are gone all the same are not acknowledged', () =>
    withStore(async (store) => {
      const node = await store.node()
      const id = await uploaded(node, chunkOf(small))
      await node.parts.driver.delete(layout.blob(digest))
      await failsWith('upload-unknown', node.repository.uploads.commit(id, digest, none()))
      await failsWith('blob-unknown', node.repository.blobs.stat(digest))
      await failsWith('upload-unknown', node.repository.uploads.status(id))
      await pushBlob(node.repository, small)
      assert.ok((await pulled(node.repository.blobs.open(digest))).equals(small))
    }))
})
