import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { digestOf, emptyDigest } from '../../oci/digest.ts'
import { newUploadId } from '../../oci/name.ts'
import { digestFor, nameOf } from './facts-tools.ts'
import { caller, chunkOf, pushBlob } from './push.ts'
import type { RegistryCase } from './registry.ts'
import { failsWith, pulled, repositoryOf } from './registry-tools.ts'
import { bodyOf, brokenBody, randomBytes, severalTurns } from './storage-tools.ts'

const nothing = new Uint8Array()

export const blobCases: Readonly<Record<string, RegistryCase>> = {
  'a pushed blob is pulled as it was, whatever its size': async (registry) => {
    const repository = repositoryOf(registry, 'library/alpine')
    for (const size of [0, 1, 65_536, 65_537, 3_000_000]) {
      const bytes = randomBytes(size)
      const digest = await pushBlob(repository, bytes)
      assert.deepEqual(await repository.blobs.stat(digest), { digest, size })
      assert.ok((await pulled(repository.blobs.open(digest))).equals(bytes))
    }
  },

  'a blob arrives in one request, in many, or with its closing request': async (registry) => {
    const { uploads, blobs } = repositoryOf(registry, 'a')
    const bytes = randomBytes(1000)
    const [whole, chunked, closing] = [await uploads.start(), await uploads.start(), await uploads.start('sha512')]
    assert.equal(whole.offset, 0)
    await uploads.commit(whole.id, digestOf(bytes), { body: bodyOf(bytes) })
    await uploads.append(chunked.id, chunkOf(bytes.subarray(0, 400), 0))
    assert.deepEqual(await uploads.append(chunked.id, chunkOf(bytes.subarray(400, 700), 400)), {
      id: chunked.id,
      offset: 700,
    })
    await uploads.commit(chunked.id, digestOf(bytes), chunkOf(bytes.subarray(700), 700))
    await uploads.append(closing.id, chunkOf(bytes))
    const long = digestOf(bytes, 'sha512')
    assert.deepEqual(await uploads.commit(closing.id, long, chunkOf(nothing)), { digest: long, size: 1000 })
    assert.ok((await pulled(blobs.open(long))).equals(bytes))
    assert.ok((await pulled(blobs.open(digestOf(bytes)))).equals(bytes))
  },

  'an empty blob can be pushed': async (registry) => {
    const { uploads, blobs } = repositoryOf(registry, 'a')
    const { id } = await uploads.start()
    await uploads.commit(id, emptyDigest(), chunkOf(nothing))
    assert.equal((await blobs.stat(emptyDigest())).size, 0)
  },

  'bytes of another digest are refused and forgotten': async (registry) => {
    const { uploads, blobs } = repositoryOf(registry, 'a')
    const { id } = await uploads.start()
    await uploads.append(id, chunkOf(Buffer.from('what came')))
    const expected = digestFor('what was meant')
    await failsWith('digest-mismatch', uploads.commit(id, expected, chunkOf(nothing)), {
      expected,
      actual: digestFor('what came'),
    })
    for (const digest of [expected, digestFor('what came')]) await failsWith('blob-unknown', blobs.stat(digest))
    await failsWith('upload-unknown', uploads.status(id))
  },

  'a chunk in the wrong place is refused and changes nothing': async (registry) => {
    const { uploads } = repositoryOf(registry, 'a')
    const { id } = await uploads.start()
    await uploads.append(id, chunkOf(Buffer.from('0123456789'), 0))
    for (const start of [0, 5, 9, 11]) {
      await failsWith('upload-offset-mismatch', uploads.append(id, chunkOf(Buffer.from('abc'), start)))
    }
    const longer = { ...chunkOf(Buffer.from('abc')), range: { start: 10, end: 20 } }
    await failsWith('size-mismatch', uploads.append(id, longer))
    await failsWith('size-mismatch', uploads.append(id, { body: bodyOf(Buffer.from('abc')), length: 5 }))
    assert.equal((await uploads.status(id)).offset, 10)
    await uploads.commit(id, digestFor('0123456789!'), chunkOf(Buffer.from('!'), 10))
  },

  'a body that breaks keeps what arrived': async (registry) => {
    const { uploads, blobs } = repositoryOf(registry, 'a')
    const { id } = await uploads.start()
    const broken = { body: brokenBody(new Error('reset'), Buffer.from('first half, ')), length: 100 }
    await failsWith('body-broken', uploads.append(id, broken), { received: 12 })
    assert.equal((await uploads.status(id)).offset, 12)
    const digest = digestFor('first half, second half')
    await uploads.commit(id, digest, chunkOf(Buffer.from('second half'), 12))
    assert.equal(String(await pulled(blobs.open(digest))), 'first half, second half')
  },

  'a commit can be sent again, and its upload takes nothing more': async (registry) => {
    const { uploads } = repositoryOf(registry, 'a')
    const { id } = await uploads.start()
    await uploads.append(id, chunkOf(Buffer.from('x')))
    for (let n = 0; n < 3; n++) {
      assert.deepEqual(await uploads.commit(id, digestFor('x'), chunkOf(nothing)), { digest: digestFor('x'), size: 1 })
    }
    await failsWith('upload-unknown', uploads.commit(id, digestFor('y'), chunkOf(nothing)))
    await failsWith('upload-unknown', uploads.append(id, chunkOf(Buffer.from('y'))))
    await failsWith('upload-unknown', uploads.status(id))
    await failsWith('upload-unknown', uploads.cancel(id))
  },

  'an upload belongs to its repository and its caller': async (registry) => {
    const ann = registry.repository(nameOf('a'), { ...caller, identity: 'ann' })
    const { id } = await ann.uploads.start()
    const others = [
      registry.repository(nameOf('b'), { ...caller, identity: 'ann' }),
      registry.repository(nameOf('a'), { ...caller, identity: 'bob' }),
      registry.repository(nameOf('a'), caller),
    ]
    for (const { uploads } of others) {
      await failsWith('upload-unknown', uploads.status(id))
      await failsWith('upload-unknown', uploads.append(id, chunkOf(Buffer.from('x'))))
      await failsWith('upload-unknown', uploads.commit(id, digestFor('x'), chunkOf(nothing)))
      await failsWith('upload-unknown', uploads.cancel(id))
    }
    assert.equal((await ann.uploads.status(id)).offset, 0)
    await failsWith('upload-unknown', ann.uploads.status(newUploadId()))
  },

  'a cancelled upload is gone': async (registry) => {
    const { uploads } = repositoryOf(registry, 'a')
    const { id } = await uploads.start()
    await uploads.append(id, chunkOf(Buffer.from('x')))
    await uploads.cancel(id)
    await failsWith('upload-unknown', uploads.status(id))
    await failsWith('upload-unknown', uploads.cancel(id))
  },

  'bytes of two writers never mix': async (registry) => {
    const { uploads } = repositoryOf(registry, 'a')
    const { id } = await uploads.start()
    const slow = new PassThrough()
    const first = uploads.append(id, { body: slow })
    first.catch(() => {})
    slow.write('half')
    await severalTurns()
    await failsWith('upload-busy', uploads.append(id, chunkOf(Buffer.from('unplaced'))))
    await failsWith('upload-offset-mismatch', uploads.append(id, chunkOf(Buffer.from('placed'), 0)))
    await failsWith('body-broken', first)
    assert.equal((await uploads.status(id)).offset, 4)
    await uploads.commit(id, digestFor('half and half'), chunkOf(Buffer.from(' and half'), 4))
  },

  'a mount makes a blob readable without its bytes': async (registry) => {
    const [source, target] = [repositoryOf(registry, 'source'), repositoryOf(registry, 'target')]
    const digest = await pushBlob(source, Buffer.from('shared'))
    await failsWith('blob-unknown', target.blobs.stat(digest))
    assert.equal(await target.blobs.mount(digest, nameOf('elsewhere')), undefined)
    assert.equal(await target.blobs.mount(digestFor('nothing'), nameOf('source')), undefined)
    assert.deepEqual(await target.blobs.mount(digest, nameOf('source')), { digest, size: 6 })
    assert.equal(String(await pulled(target.blobs.open(digest))), 'shared')
    const anywhere = repositoryOf(registry, 'anywhere')
    assert.deepEqual(await anywhere.blobs.mount(digest), { digest, size: 6 })
    assert.equal(await anywhere.blobs.mount(digestFor('nothing')), undefined)
    assert.deepEqual(await anywhere.blobs.mount(digest, nameOf('elsewhere')), { digest, size: 6 })
  },

  'a deleted blob is gone here, and stays elsewhere': async (registry) => {
    const [one, two] = [repositoryOf(registry, 'one'), repositoryOf(registry, 'two')]
    const digest = await pushBlob(one, Buffer.from('shared'))
    await two.blobs.mount(digest)
    await one.blobs.delete(digest)
    await failsWith('blob-unknown', one.blobs.stat(digest))
    await failsWith('blob-unknown', one.blobs.delete(digest))
    await failsWith('repository-unknown', repositoryOf(registry, 'none').blobs.delete(digest))
    assert.equal(String(await pulled(two.blobs.open(digest))), 'shared')
    await pushBlob(one, Buffer.from('shared'))
    assert.equal((await one.blobs.stat(digest)).size, 6)
  },
}
