import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { digestOf } from '../../oci/digest.ts'
import { layout } from '../../storage/layout.ts'
import { chunkOf } from '../contracts/push.ts'
import { failsWith, pulled } from '../contracts/registry-tools.ts'
import { brokenBody, randomBytes } from '../contracts/storage-tools.ts'
import { mebibyte } from '../storage/s3-tools.ts'
import {
  createGate,
  digests,
  failingOnce,
  large,
  nothing,
  parted,
  type SharedStore,
  small,
  uploaded,
  withStore,
} from './shared-store-tools.ts'

const none = () => chunkOf(nothing)

describe('a closing request that brings the bytes and breaks', () => {
  test('leaves an upload of nothing, which is no blob of those bytes', () =>
    withStore(async (store) => {
      const { repository } = await store.node()
      const { uploads } = repository
      const { id } = await uploads.start()
      const broken = { body: brokenBody(new Error('reset'), parted), length: parted.length + 1 }
      await failsWith('body-broken', uploads.commit(id, digestOf(small), broken))
      assert.equal((await uploads.status(id)).offset, 0)
      await failsWith('digest-mismatch', uploads.commit(id, digests.parted, none()))
      assert.equal(store.object(digests.parted), undefined)
    }))
})

describe('an upload that another node took over', () => {
  const [first, second, rest] = [parted, randomBytes(11 * mebibyte), randomBytes(mebibyte)]

  /** The first node has taken bytes that were never recorded, and goes on after those of the second. */
  async function mixed(store: SharedStore) {
    const driver = await store.driver()
    const [a, b, gate] = [await store.node({ driver }), await store.node(), createGate()]
    const append = driver.append.bind(driver)
    let held = 0
    driver.append = async (...all) => {
      const appended = await append(...all)
      if (held++ === 0) await gate.pass()
      return appended
    }
    const id = await uploaded(a)
    const losing = failsWith('upload-busy', a.repository.uploads.append(id, chunkOf(first)))
    await gate.reached
    await b.repository.uploads.append(id, chunkOf(second))
    gate.open()
    await losing
    await a.repository.uploads.append(id, chunkOf(rest))
    return { id, ...a.repository }
  }

  test('is not taken for the bytes that the loser saw', () =>
    withStore(async (store) => {
      const { id, uploads } = await mixed(store)
      const claimed = digestOf(Buffer.concat([first, rest]))
      await failsWith('digest-mismatch', uploads.commit(id, claimed, none()))
      assert.equal(store.object(claimed), undefined)
    }))

  test('is of the bytes that were recorded', () =>
    withStore(async (store) => {
      const { id, uploads, blobs } = await mixed(store)
      const whole = Buffer.concat([second, rest])
      await uploads.commit(id, digestOf(whole), none())
      assert.ok((await pulled(blobs.open(digestOf(whole)))).equals(whole))
    }))
})

describe('a commit whose last transaction failed', () => {
  const half = mebibyte
  const two = parted.subarray(0, 2 * half)
  const kinds = {
    'one object': { bytes: small, pieces: [small] },
    'two small requests': { bytes: two, pieces: [two.subarray(0, half), two.subarray(half)] },
    'several parts': { bytes: parted, pieces: [parted] },
    'more than is copied at once': { bytes: large, pieces: [large] },
  }

  for (const [kind, { bytes, pieces }] of Object.entries(kinds)) {
    test(`can be repeated on another node: ${kind}`, () =>
      withStore(async (store) => {
        const digest = digestOf(bytes)
        const [a, b] = [await store.node({ facts: failingOnce(store.facts) }), await store.node()]
        const id = await uploaded(a, ...pieces.map((piece) => chunkOf(piece)))
        await assert.rejects(a.repository.uploads.commit(id, digest, none()), /the database is away/)
        for (const _ of ['again', 'once more']) {
          assert.deepEqual(await b.repository.uploads.commit(id, digest, none()), { digest, size: bytes.length })
        }
        assert.ok((await pulled(b.repository.blobs.open(digest))).equals(bytes))
      }))
  }

  test('can be repeated where it brought the bytes itself', () =>
    withStore(async (store) => {
      const [a, b] = [await store.node({ facts: failingOnce(store.facts) }), await store.node()]
      const id = await uploaded(a)
      const closing = a.repository.uploads.commit(id, digests.parted, chunkOf(parted))
      await assert.rejects(closing, /the database is away/)
      await b.repository.uploads.commit(id, digests.parted, none())
      assert.ok((await pulled(b.repository.blobs.open(digests.parted))).equals(parted))
    }))
})

describe('an upload', () => {
  test('whose bytes were all put down for lack of memory ends well', () =>
    withStore(async (store) => {
      const driver = await store.driver({ memoryBytes: 5 * mebibyte })
      const { repository } = await store.node({ driver })
      const { uploads, blobs } = repository
      const [slow, waiting] = [new PassThrough(), new PassThrough()]
      const [one, two] = [await uploads.start(), await uploads.start()]
      slow.write(Buffer.from(small))
      const slowly = uploads.append(one.id, { body: slow })
      await sleep(100)
      waiting.end(parted.subarray(0, 1000))
      // It gets memory only when the other one has put its bytes down.
      await uploads.append(two.id, { body: waiting })
      slow.end()
      assert.equal((await slowly).offset, small.length)
      await uploads.commit(one.id, digests.small, none())
      assert.ok((await pulled(blobs.open(digests.small))).equals(small))
    }))

  test('whose parts the store has lost is unknown when it is gone on with', () =>
    withStore(async (store) => {
      const node = await store.node()
      const id = await uploaded(node, chunkOf(parted))
      await node.parts.driver.discard({ key: layout.upload(id), size: 0 })
      await failsWith('upload-unknown', node.repository.uploads.append(id, chunkOf(small)))
    }))

  test('whose parts the store has lost is unknown when it is closed', () =>
    withStore(async (store) => {
      const node = await store.node()
      const id = await uploaded(node, chunkOf(parted))
      await node.parts.driver.discard({ key: layout.upload(id), size: 0 })
      await failsWith('upload-unknown', node.repository.uploads.commit(id, digests.parted, none()))
      await failsWith('blob-unknown', node.repository.blobs.stat(digests.parted))
    }))
})
