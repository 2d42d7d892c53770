import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { UploadId } from '../../oci/name.ts'
import { layout } from '../../storage/layout.ts'
import { expireUploads } from '../../upkeep/expire.ts'
import { recover } from '../../upkeep/recover.ts'
import { chunkOf, pushBlob } from '../contracts/push.ts'
import { failsWith, pulled } from '../contracts/registry-tools.ts'
import {
  createGate,
  digests,
  failingOnce,
  hour,
  large,
  type Node,
  nothing,
  type SharedStore,
  uploaded,
  withStore,
} from './shared-store-tools.ts'

const digest = digests.large
const none = () => chunkOf(nothing)

/** A node that hears of no other, and is held up when it is about to remove bytes. */
async function removingNode(store: SharedStore) {
  const driver = await store.driver()
  const [gate, discard] = [createGate(), driver.discard.bind(driver)]
  driver.discard = async (stage) => {
    await gate.pass()
    await discard(stage)
  }
  return { node: await store.node({ driver }), gate }
}

describe('an upload whose bytes are about to be removed', () => {
  const removals = {
    'its client gave it up': ({ repository }: Node, id: UploadId) => repository.uploads.cancel(id),
    'nobody came back for it': ({ parts }: Node) => expireUploads({ ...parts, uploadAgeMs: hour }),
  }

  for (const [why, remove] of Object.entries(removals)) {
    test(`cannot be committed on a node that does not hear of that: ${why}`, () =>
      withStore(async (store) => {
        const committing = await store.node()
        const { node, gate } = await removingNode(store)
        const id = await uploaded(committing, chunkOf(large))
        store.pass(2 * hour)
        const removing = remove(node, id)
        await gate.reached
        await failsWith('upload-unknown', committing.repository.uploads.commit(id, digest, none()))
        gate.open()
        await removing
        await failsWith('blob-unknown', committing.repository.blobs.stat(digest))
        assert.deepEqual([...store.s3.keys(), ...store.s3.uploads()], [])
      }))
  }
})

describe('a commit that is repeated', () => {
  test('outlasts a node that takes it for a dead one', () =>
    withStore(async (store) => {
      const old = await store.node()
      await pushBlob(old.repository, large)
      await old.parts.settler.settleBytes()
      const dying = await store.node({ facts: failingOnce(store.facts) })
      const id = await uploaded(dying, chunkOf(large))
      await assert.rejects(dying.repository.uploads.commit(id, digest, none()), /the database is away/)
      store.pass(3 * 60_000)
      const { node, gate } = await removingNode(store)
      const recovering = recover(node.parts)
      await gate.reached
      await old.repository.uploads.commit(id, digest, none())
      gate.open()
      await recovering
      assert.ok((await pulled(old.repository.blobs.open(digest))).equals(large))
    }))

  test('heals bytes that are damaged, as the first one would have', () =>
    withStore(async (store) => {
      const node = await store.node()
      await pushBlob(node.repository, large)
      await node.parts.settler.settleBytes()
      store.s3.place(layout.blob(digest), Buffer.alloc(large.length))
      await store.facts.write((changed) => changed.collection.markDamaged(digest, store.now()))
      const dying = await store.node({ facts: failingOnce(store.facts) })
      const id = await uploaded(dying, chunkOf(large))
      await assert.rejects(dying.repository.uploads.commit(id, digest, none()), /the database is away/)
      await node.repository.uploads.commit(id, digest, none())
      await node.parts.settler.settleBytes()
      assert.ok((await pulled(node.repository.blobs.open(digest))).equals(large))
    }))
})
