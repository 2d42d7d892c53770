/** Sending clients to where the bytes are (distribution-spec, "Pulling blobs"). */
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import type { Blobs } from '../../registry/registry.ts'
import type { Behaviour } from '../../server/exchange.ts'
import { partialRegistry, serveApp } from '../support/app.ts'
import { header } from '../support/client.ts'
import { blob } from '../support/image.ts'

const content = blob(100_000)
const elsewhere = 'https://bucket.example/blob?signature=abc'

async function serve(t: TestContext, redirects: Behaviour['redirects'], address: string | null = elsewhere) {
  const { digest, bytes } = content
  const info = { digest: digest as never, size: bytes.length }
  const registry = partialRegistry({
    blobs: {
      address: async () => address ?? undefined,
      stat: async () => info,
      open: async () => ({ ...info, bytes, send: async () => {}, close: async () => {} }),
    } as Partial<Blobs> as Blobs,
  })
  const { client } = await serveApp(t, { registry, behaviour: { ...behaviour, redirects } })
  return client
}

const behaviour: Behaviour = {
  redirects: () => false,
  deleteEnabled: true,
  readOnly: false,
  maxManifestSize: 1000,
  maxCatalogPage: 10,
  maxTagPage: 10,
  origin: '',
  prefix: '',
}

describe('a blob that lies where clients can fetch it', () => {
  test('is fetched there, and nobody keeps the address', async (t) => {
    const client = await serve(t, () => true)
    const reply = await client.getBlob('a', content.digest)
    assert.equal(reply.status, 307)
    assert.equal(header(reply, 'location'), elsewhere)
    assert.equal(header(reply, 'docker-content-digest'), content.digest)
    assert.equal(header(reply, 'cache-control'), 'no-store')
    assert.equal(reply.bytes.length, 0)
  })

  test('is served from here to clients of networks that cannot reach it', async (t) => {
    let asked: string | undefined
    const client = await serve(t, (address) => {
      asked = address
      return false
    })
    const reply = await client.getBlob('a', content.digest)
    assert.deepEqual([reply.status, reply.bytes], [200, content.bytes])
    assert.equal(asked, '127.0.0.1')
  })

  test('is answered from here to a client that only asks for its headers', async (t) => {
    const client = await serve(t, () => true)
    assert.equal((await client.headBlob('a', content.digest)).status, 200)
  })

  test('is served from here where storage has no address for it', async (t) => {
    const client = await serve(t, () => true, null)
    assert.deepEqual((await client.getBlob('a', content.digest)).bytes, content.bytes)
  })
})
