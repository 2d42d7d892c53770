/** How a bucket is reached, as its settings say. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openS3Driver } from '../../storage/drivers/s3/s3-driver.ts'
import type { S3Settings } from '../../storage/drivers/s3/settings.ts'
import { startFakeS3 } from '../support/s3-fake/s3-fake.ts'
import { blobKey, driverOn } from './s3-tools.ts'

async function reachedAt(settings: Partial<S3Settings>): Promise<string> {
  const keys = { accessKey: 'key', secretKey: 'secret' }
  const driver = await openS3Driver({ bucket: 'images', region: 'eu-central-1', ...keys, ...settings })
  const { protocol, host, pathname } = new URL(await driver.address(blobKey(), { method: 'GET', contentType: 'a/b' }))
  await driver.close()
  return `${protocol}//${host}${pathname}`
}

test('Amazon is found by the region, and a bucket by the name of its host', async () => {
  const path = `/${blobKey()}`
  assert.equal(await reachedAt({}), `https://images.s3.eu-central-1.amazonaws.com${path}`)
  assert.equal(await reachedAt({ pathStyle: true }), `https://s3.eu-central-1.amazonaws.com/images${path}`)
  assert.equal(await reachedAt({ dualStack: true }), `https://images.s3.dualstack.eu-central-1.amazonaws.com${path}`)
  assert.equal(await reachedAt({ accelerate: true }), `https://images.s3-accelerate.amazonaws.com${path}`)
  const fips = await reachedAt({ fips: true, region: 'us-east-1' })
  assert.equal(fips, `https://images.s3-fips.us-east-1.amazonaws.com${path}`)
  assert.equal(await reachedAt({ root: '/a//b/' }), `https://images.s3.eu-central-1.amazonaws.com/a/b${path}`)
})

test('another store is found at its endpoint, and a bucket by the path unless it is said otherwise', async () => {
  const path = `/${blobKey()}`
  assert.equal(await reachedAt({ endpoint: 'http://store:9000' }), `http://store:9000/images${path}`)
  assert.equal(await reachedAt({ endpoint: 'store:9000' }), `https://store:9000/images${path}`)
  assert.equal(await reachedAt({ endpoint: 'store:9000', secure: false }), `http://store:9000/images${path}`)
  const byHost = await reachedAt({ endpoint: 'https://store.example', pathStyle: false })
  assert.equal(byHost, `https://images.store.example${path}`)
})

test('a store is told who asks, and gets checksums where it is meant to', async () => {
  const server = await startFakeS3()
  for (const checksums of ['required', 'supported'] as const) {
    const driver = await driverOn(server, { userAgent: 'our-registry/1', checksums })
    const sent: Record<string, string>[] = []
    driver.bucket.client.middlewareStack.add(
      (next) => (args) => {
        sent.push({ ...(args.request as { headers: Record<string, string> }).headers })
        return next(args)
      },
      { step: 'finalizeRequest' },
    )
    await driver.write(blobKey(), Buffer.from('content'))
    assert.match(String(sent[0]?.['user-agent']), /our-registry\/1/)
    assert.equal('x-amz-checksum-crc32' in (sent[0] ?? {}), checksums === 'supported')
    await driver.close()
  }
  await server.stop()
})
