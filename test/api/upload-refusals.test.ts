/** Uploads that must not become blobs, and those that end early. */
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createClient, header } from '../support/client.ts'
import { blob, digestOf } from '../support/image.ts'
import { refused } from '../support/refusals.ts'
import { freshName, serve } from '../support/served.ts'
import { startTestRegistry } from '../support/test-registry.ts'

const { client, registry } = await serve()
const start = async (name: string): Promise<string> => header(await client.startUpload(name), 'location')

/** The bytes of uploads that lie in the storage. */
function leftovers(): Promise<string[]> {
  return readdir(join(registry.root, 'berth/uploads')).catch(() => [])
}

describe('a blob of another digest', () => {
  const content = blob(3000)
  const wrong = digestOf('something else')

  test('is refused in one request and leaves nothing', async () => {
    const name = freshName()
    for (const digest of [wrong, digestOf('something else', 'sha512'), digestOf('')]) {
      const reply = await client.startUpload(name, `?digest=${digest}`, { body: content.bytes })
      const [entry] = refused(reply, 'digest-mismatch')
      assert.equal(entry?.detail?.['expected'], digest)
      assert.equal((await client.headBlob(name, digest)).status, 404)
    }
    assert.equal((await client.headBlob(name, content.digest)).status, 404)
    assert.deepEqual(await leftovers(), [])
    refused(await client.listTags(name), 'repository-unknown')
  })

  test('is refused at the closing PUT, which ends the upload', async () => {
    const name = freshName()
    for (const body of [content.bytes, Readable.from([content.bytes]), undefined]) {
      const location = await start(name)
      if (!body) await client.appendUpload(location, { body: content.bytes })
      refused(await client.commitUpload(location, wrong, body ? { body } : {}), 'digest-mismatch')
      refused(await client.uploadStatus(location), 'upload-unknown')
      refused(await client.commitUpload(location, content.digest), 'upload-unknown')
    }
    assert.deepEqual(await leftovers(), [])
  })

  test('does not replace what is stored under that digest', async () => {
    const name = freshName()
    await client.startUpload(name, `?digest=${content.digest}`, { body: content.bytes })
    refused(await client.startUpload(name, `?digest=${content.digest}`, { body: 'other' }), 'digest-mismatch')
    assert.deepEqual((await client.getBlob(name, content.digest)).bytes, content.bytes)
  })
})

describe('a digest that is none', () => {
  test('is refused and the upload goes on', async () => {
    const content = blob(100)
    const location = await start(freshName())
    await client.appendUpload(location, { body: content.bytes })
    refused(await client.send('PUT', location), 'digest-invalid')
    for (const digest of ['', 'sha256:abc', `sha256:${'F'.repeat(64)}`, 'md5:d41d8cd98f00b204e9800998ecf8427e', 'x']) {
      refused(await client.commitUpload(location, digest, { body: 'more' }), 'digest-invalid')
    }
    assert.equal(header(await client.uploadStatus(location), 'range'), '0-99')
    assert.equal((await client.commitUpload(location, content.digest)).status, 201)
  })

  test('is refused at once where it comes with the whole blob', async () => {
    refused(await client.startUpload('a', '?digest=sha256:abc', { body: 'abc' }), 'digest-invalid')
    refused(await client.startUpload('a', '?digest=', { body: 'abc' }), 'digest-invalid')
  })

  test('is one of two that differ', async () => {
    const content = blob(100)
    const location = await start(freshName())
    const two = `${content.digest}&digest=${digestOf('other')}`
    refused(await client.commitUpload(location, two, { body: content.bytes }), 'request-invalid')
    const twice = `${content.digest}&digest=${content.digest}`
    assert.equal((await client.commitUpload(location, twice, { body: content.bytes })).status, 201)
  })
})

describe('an upload that is not there', () => {
  const unknown = ['00000000-0000-4000-8000-000000000000', 'not-an-id', '..', '%2e%2e', 'x'.repeat(500)]
  for (const id of unknown) {
    test(`is unknown to every request: ${id.slice(0, 40)}`, async () => {
      const location = `/v2/some/where/blobs/uploads/${id}`
      refused(await client.uploadStatus(location), 'upload-unknown')
      refused(await client.appendUpload(location, { body: 'abc' }), 'upload-unknown')
      refused(await client.commitUpload(location, digestOf('abc'), { body: 'abc' }), 'upload-unknown')
      refused(await client.cancelUpload(location), 'upload-unknown')
    })
  }

  test('is one of another repository', async () => {
    const name = freshName()
    const foreign = (await start(name)).replace(name, freshName())
    refused(await client.uploadStatus(foreign), 'upload-unknown')
    refused(await client.appendUpload(foreign, { body: 'abc' }), 'upload-unknown')
    refused(await client.commitUpload(foreign, digestOf('abc'), { body: 'abc' }), 'upload-unknown')
    refused(await client.cancelUpload(foreign), 'upload-unknown')
  })
})

describe('an upload that is given up', () => {
  test('is gone, with its bytes', async () => {
    const name = freshName()
    const location = await start(name)
    await client.appendUpload(location, { body: 'abc' })
    assert.equal((await leftovers()).length, 1)
    const reply = await client.cancelUpload(location)
    assert.deepEqual([reply.status, reply.bytes.length], [204, 0])
    refused(await client.uploadStatus(location), 'upload-unknown')
    refused(await client.cancelUpload(location), 'upload-unknown')
    assert.deepEqual(await leftovers(), [])
  })

  test('cannot be one that was finished', async () => {
    const content = blob(100)
    const name = freshName()
    const location = await start(name)
    await client.commitUpload(location, content.digest, { body: content.bytes })
    refused(await client.cancelUpload(location), 'upload-unknown')
    assert.equal((await client.headBlob(name, content.digest)).status, 200)
  })

  test('expires where nobody comes back to it', async (t) => {
    const uploadPurging = { enabled: true, ageMs: 1, intervalMs: 10, dryRun: false }
    const impatient = await startTestRegistry({
      storage: { maintenance: { uploadPurging, readOnly: { enabled: false }, reserve: 0 } },
    })
    t.after(() => impatient.close())
    const other = createClient(impatient.url)
    const location = header(await other.startUpload('a'), 'location')
    while ((await other.uploadStatus(location)).status !== 404) await delay(5)
    refused(await other.uploadStatus(location), 'upload-unknown')
  })
})
