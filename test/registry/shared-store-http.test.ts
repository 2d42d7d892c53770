import assert from 'node:assert/strict'
import { request } from 'node:http'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { layout } from '../../storage/layout.ts'
import { mebibyte } from '../storage/s3-tools.ts'
import { createClient, header } from '../support/client.ts'
import { type FakeS3, startFakeS3 } from '../support/s3-fake/s3-fake.ts'
import { type Changes, startTestRegistry } from '../support/test-registry.ts'
import { digests, nothing, parted } from './shared-store-tools.ts'

function storedIn({ bucket, region, endpoint, accessKey, secretKey }: FakeS3): Changes {
  const address = { bucket, region, endpoint, accessKey, secretKey, pathStyle: true, root: '' }
  const sizes = { memoryBytes: 256 * mebibyte, chunkSize: 5 * mebibyte, copyChunkSize: 32 * mebibyte }
  const copies = { copyConcurrency: 4, copyThreshold: 64 * mebibyte }
  const odd = { secure: false, skipVerify: false, encrypt: false, dualStack: false, accelerate: false, fips: false }
  return {
    storage: {
      driver: { name: 's3', checksums: 'required', ...address, ...sizes, ...copies, ...odd },
      redirect: { disabled: true, exceptFor: [], lifetimeMs: 20 * 60_000 },
    },
  }
}

/** A closing request that promises one byte more than it brings, and goes. */
async function breakOff(url: string, bytes: Uint8Array): Promise<void> {
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  const outgoing = request(url, { method: 'PUT', headers: { 'content-length': bytes.length + 1 } })
  outgoing.on('error', () => {}).on('close', resolve)
  outgoing.write(bytes, () => void sleep(300).then(() => outgoing.destroy()))
  await closed
}

test('nobody replaces a blob by nothing, who has broken off a closing request with its bytes', async () => {
  const s3 = await startFakeS3()
  const registry = await startTestRegistry(storedIn(s3))
  try {
    const client = createClient(registry.url)
    const start = async (name: string) => header(await client.startUpload(name), 'location').replace(registry.url, '')
    const digest = digests.parted
    const pushed = await client.commitUpload(await start('victim/app'), digest, { body: parted })
    assert.equal(pushed.status, 201)

    const location = await start('evil/app')
    const separator = location.includes('?') ? '&' : '?'
    await breakOff(`${registry.url}${location}${separator}digest=${digests.small}`, parted)
    let closing = await client.commitUpload(location, digest, { body: nothing })
    // The one that broke may still be at it.
    for (let tries = 0; closing.status === 429 && tries < 20; tries++) {
      await sleep(100)
      closing = await client.commitUpload(location, digest, { body: nothing })
    }
    assert.equal(closing.status, 400, closing.bytes.toString())
    assert.match(closing.bytes.toString(), /DIGEST_INVALID/)

    assert.equal((await client.getBlob('evil/app', digest)).status, 404)
    const { status, bytes } = await client.getBlob('victim/app', digest)
    assert.equal(status, 200)
    assert.ok(bytes.equals(parted))
    assert.ok(s3.content(layout.blob(digest))?.equals(parted))
    assert.equal((await client.headBlob('victim/app', digest)).headers['content-length'], String(parted.length))
    assert.equal((await client.getBlob('evil/app', digests.small)).status, 404)
  } finally {
    await registry.close()
    await s3.stop()
  }
})
