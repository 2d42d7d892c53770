/** What the registry answers beside the specification: search, extensions, and how it is. */
import assert from 'node:assert/strict'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { createClient, header, jsonOf } from '../support/client.ts'
import { blob, pushBlob } from '../support/image.ts'
import { refused } from '../support/refusals.ts'
import { serve } from '../support/served.ts'
import { startTestRegistry } from '../support/test-registry.ts'

const { client } = await serve()
for (const name of ['library/busybox', 'library/alpine', 'team/box_er', 'team/boxer', 'busy']) {
  await pushBlob(client, name, blob(1))
}

interface Found {
  readonly query: string
  readonly num_results: number
  readonly results: readonly { readonly name: string }[]
}

const search = async (query: string) => jsonOf<Found>(await client.search(query))
const namesIn = ({ results }: Found) => results.map(({ name }) => name)

describe('a search', () => {
  test('finds names that contain the term, in the shape that docker reads', async () => {
    assert.deepEqual(await search('?q=busy'), {
      query: 'busy',
      page: 1,
      page_size: 25,
      num_pages: 1,
      num_results: 2,
      results: ['busy', 'library/busybox'].map((name) => ({
        name,
        description: '',
        star_count: 0,
        is_official: false,
        is_automated: false,
      })),
    })
  })

  test('finds everything for no term, and no more than was asked for', async () => {
    assert.equal((await search('')).num_results, 5)
    assert.deepEqual(namesIn(await search('?q=&n=2')), ['busy', 'library/alpine'])
    assert.deepEqual(namesIn(await search('?n=0')), [])
    assert.equal((await search('?n=100000')).num_results, 5)
  })

  test('takes the term as it is: no letter of it is a pattern', async () => {
    assert.deepEqual(namesIn(await search('?q=box_')), ['team/box_er'])
    for (const term of ['%25', '_usy', '!', '.*', "'", '%5C', 'x'.repeat(10_000)]) {
      assert.deepEqual(namesIn(await search(`?q=${term}`)), [], term)
    }
    assert.deepEqual(namesIn(await search('?q=%20BUSYBOX+')), ['library/busybox'])
  })

  test('wants a whole number', async () => {
    for (const n of ['-1', 'x', '1.5']) refused(await client.search(`?n=${n}`), 'page-invalid')
  })

  test('is announced to whoever asks first', async () => {
    const reply = await client.pingSearch()
    assert.equal(header(reply, 'x-docker-registry-standalone'), 'true')
    assert.deepEqual(jsonOf(reply), { standalone: true })
  })
})

describe('the extensions', () => {
  interface Discovered {
    readonly extensions: readonly { readonly name: string; readonly url: string; readonly endpoints: string[] }[]
  }

  test('are listed for the registry and for a repository', async () => {
    for (const reply of [await client.discover(), await client.discoverIn('library/busybox')]) {
      assert.equal(header(reply, 'content-type'), 'application/json')
      const { extensions } = jsonOf<Discovered>(reply)
      assert.ok(extensions.some(({ name }) => name === '_oci'))
      for (const { url, endpoints } of extensions) assert.ok(URL.canParse(url) && endpoints.length > 0)
    }
  })

  test('lead to addresses that answer', async () => {
    const { extensions } = jsonOf<Discovered>(await client.discover())
    for (const endpoint of extensions.flatMap(({ endpoints }) => endpoints)) {
      assert.equal((await client.send('GET', `/v2/${endpoint}`)).status, 200)
    }
  })
})

describe('how the registry is', () => {
  test('is told in words at its root', async () => {
    const reply = await client.root()
    assert.equal(reply.status, 200)
    assert.equal(header(reply, 'content-type'), 'text/plain; charset=utf-8')
    assert.match(reply.bytes.toString(), /\/v2\//)
  })

  test('is well: it lives and it is ready', async () => {
    assert.deepEqual(jsonOf(await client.live()), { status: 'ok' })
    assert.deepEqual(jsonOf(await client.ready()), { status: 'ready' })
    assert.equal((await client.send('HEAD', '/readyz')).status, 200)
  })

  test('is not ready while it is stopping, when it begins nothing new and finishes what was begun', async (t) => {
    const stopping = await startTestRegistry()
    t.after(() => stopping.close())
    const other = createClient(stopping.url)
    const location = header(await other.startUpload('a'), 'location')
    stopping.node.health.drain()
    const reply = await other.ready()
    assert.equal(reply.status, 503)
    assert.deepEqual(jsonOf(reply), { status: 'unready', reason: 'this node is stopping' })
    assert.equal((await other.live()).status, 200)
    const refusal = await other.startUpload('a')
    refused(refusal, 'draining')
    assert.equal(header(refusal, 'retry-after'), '1')
    const content = blob(100)
    assert.equal((await other.commitUpload(location, content.digest, { body: content.bytes })).status, 201)
    assert.deepEqual((await other.getBlob('a', content.digest)).bytes, content.bytes)
  })

  test('is not ready where its storage cannot be written', async (t) => {
    const broken = await startTestRegistry()
    t.after(() => broken.close())
    await rename(join(broken.root, 'berth/tmp'), join(broken.root, 'berth/moved'))
    await writeFile(join(broken.root, 'berth/tmp'), 'a file where a folder must be')
    const reply = await createClient(broken.url).ready()
    assert.equal(reply.status, 503)
    assert.equal(jsonOf<{ status: string }>(reply).status, 'unready')
  })
})
