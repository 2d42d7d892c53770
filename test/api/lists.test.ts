/** Lists in pages: tags (distribution-spec, "Listing Tags") and the catalog of repositories. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createClient, header, jsonOf, nextLink, type Reply } from '../support/client.ts'
import { blob, image, push, pushBlob, putManifest } from '../support/image.ts'
import { refused } from '../support/refusals.ts'
import { serve } from '../support/served.ts'
import { startTestRegistry } from '../support/test-registry.ts'

const { client } = await serve({ tags: { maxTags: 7 }, catalog: { maxEntries: 4 } })
const name = 'listed/tags'
/** In the order of their bytes: upper case, the underscore, lower case. */
const tags = ['0', '1.10', '1.9', 'A', 'Z', '_', 'a', 'b', 'latest', 'v1-rc.1', 'v1_rc', 'z']
const pushed = await push(client, name, image())
const query = tags.toReversed().map((tag) => `tag=${tag}`)
assert.equal((await putManifest(client, name, `${pushed.digest}?${query.join('&')}`, pushed)).status, 201)

const repositories = [name, ...['a', 'a-b', 'a/b', 'a0', 'b/c/d', 'zzz']].sort()
for (const repository of repositories.filter((each) => each !== name)) await pushBlob(client, repository, blob(1))

interface List {
  readonly what: string
  readonly all: readonly string[]
  /** More are not given at once where a number is asked for. */
  readonly most: number
  readonly path: string
  read(reply: Reply): string[]
}

const lists: readonly List[] = [
  {
    what: 'tags',
    all: tags,
    most: 7,
    path: `/v2/${name}/tags/list`,
    read: (reply) => jsonOf<{ tags: string[] }>(reply).tags,
  },
  {
    what: 'repositories',
    all: repositories,
    most: 4,
    path: '/v2/_catalog',
    read: (reply) => jsonOf<{ repositories: string[] }>(reply).repositories,
  },
]

for (const { what, all, most, path, read } of lists) {
  const get = (more = '') => client.send('GET', `${path}${more}`)

  describe(`a list of ${what}`, () => {
    for (const size of [1, 2, 3, 5, 7]) {
      test(`gives each once, in the order of bytes, ${size} at a time`, async () => {
        const seen: string[][] = []
        for (let next: string | undefined = `${path}?n=${size}`; next; ) {
          const reply = await client.send('GET', next)
          seen.push(read(reply))
          next = nextLink(reply)
        }
        assert.deepEqual(seen.flat(), all)
        assert.ok(seen.every((page) => page.length <= Math.min(size, most) && page.length > 0))
      })
    }

    test('gives at most a page where more are asked for, and says where the next one is', async () => {
      for (const n of ['1000', '999999999999', '1000000000000000000'.slice(0, 18)]) {
        const reply = await get(`?n=${n}`)
        assert.deepEqual(read(reply), all.slice(0, most))
        assert.equal(nextLink(reply), `${path}?n=${most}&last=${encodeURIComponent(all[most - 1] ?? '')}`)
      }
    })

    test('has no next page at its end', async () => {
      const reply = await get(`?n=2&last=${all.at(-3)}`)
      assert.deepEqual(read(reply), all.slice(-2))
      assert.equal(nextLink(reply), undefined)
    })

    test('is empty, without a next page, where none are asked for', async () => {
      for (const n of ['0', '00', '0&last=a']) {
        const reply = await get(`?n=${n}`)
        assert.deepEqual([reply.status, read(reply), nextLink(reply)], [200, [], undefined])
      }
    })

    test('begins behind an entry, whether that exists or not', async () => {
      const after = (last: string) => all.filter((each) => Buffer.compare(Buffer.from(each), Buffer.from(last)) > 0)
      for (const last of ['a', 'aa', 'Zz', '~', all.at(-1) ?? '', ' ', 'ä', '\u0000', 'b%', '🐋']) {
        const reply = await get(`?n=3&last=${encodeURIComponent(last)}`)
        assert.deepEqual(read(reply), after(last).slice(0, 3), JSON.stringify(last))
      }
      assert.deepEqual(read(await get('?n=3&last=')), all.slice(0, 3))
    })

    const wrong = [
      '-1',
      'abc',
      '1.5',
      '1e3',
      '',
      ' ',
      '+1',
      '0x10',
      'NaN',
      'Infinity',
      '1000000000000000000',
      '9'.repeat(10_000),
    ]
    for (const n of wrong) {
      test(`wants a whole number: ${n.slice(0, 30)}`, async () => {
        const [entry] = refused(await get(`?n=${encodeURIComponent(n)}`), 'page-invalid')
        assert.equal(entry?.detail?.['parameter'], 'n')
      })
    }
  })
}

describe('the list of tags', () => {
  test('has all of them where no number is asked for', async () => {
    const reply = await client.listTags(name)
    assert.deepEqual(jsonOf(reply), { name, tags })
    assert.equal(nextLink(reply), undefined)
    assert.equal(header(reply, 'content-type'), 'application/json')
    assert.deepEqual(jsonOf(await client.listTags(name, '?last=a')), { name, tags: tags.slice(7) })
  })

  test('is empty for a repository that has blobs only, and refused for one that does not exist', async () => {
    assert.deepEqual(jsonOf(await client.listTags('a')), { name: 'a', tags: [] })
    refused(await client.listTags('no/such'), 'repository-unknown')
  })

  test('is not there for an upload alone', async () => {
    assert.equal((await client.startUpload('only/started')).status, 202)
    refused(await client.listTags('only/started'), 'repository-unknown')
  })
})

describe('the catalog', () => {
  test('gives a page where no number is asked for', async () => {
    const reply = await client.listCatalog()
    assert.deepEqual(jsonOf(reply), { repositories: repositories.slice(0, 4) })
    assert.ok(nextLink(reply))
  })

  test('of an empty registry is empty', async (t) => {
    const empty = await startTestRegistry()
    t.after(() => empty.close())
    const reply = await createClient(empty.url).listCatalog()
    assert.deepEqual([jsonOf(reply), nextLink(reply)], [{ repositories: [] }, undefined])
  })
})
