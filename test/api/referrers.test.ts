/** Who refers to a manifest (distribution-spec, "Listing Referrers"). */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { header, jsonOf, nextLink, type Reply } from '../support/client.ts'
import {
  artifact,
  type Built,
  blob,
  type Described,
  describeContent,
  digestOf,
  image,
  index,
  manifest,
  push,
  putManifest,
  types,
} from '../support/image.ts'
import { refused } from '../support/refusals.ts'
import { freshName, serve } from '../support/served.ts'

const { client } = await serve()

interface Listed extends Described {
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
}
interface List {
  readonly schemaVersion: number
  readonly mediaType: string
  readonly manifests: readonly Listed[]
}

function listOf(reply: Reply): readonly Listed[] {
  assert.equal(reply.status, 200, reply.bytes.toString())
  assert.equal(header(reply, 'content-type'), types.index)
  const { schemaVersion, mediaType, manifests } = jsonOf<List>(reply)
  assert.deepEqual([schemaVersion, mediaType], [2, types.index])
  return manifests
}

const referrersOf = async (name: string, digest: string, query = '') =>
  listOf(await client.listReferrers(name, digest, query))
const byDigest = (listed: readonly Described[]) => listed.toSorted((a, b) => (a.digest < b.digest ? -1 : 1))
const digests = (listed: readonly Described[]) => listed.map(({ digest }) => digest).sort()

describe('the referrers of a manifest', () => {
  test('are none where nobody refers to it, where it does not exist, and where its repository does not', async () => {
    const name = freshName()
    const pushed = await push(client, name, image())
    const layer = pushed.blobs[1]?.digest ?? ''
    for (const digest of [pushed.digest, layer, digestOf('nothing'), digestOf('nothing', 'sha512')]) {
      assert.deepEqual(await referrersOf(name, digest), [])
      assert.deepEqual(await referrersOf('no/such/repository', digest), [])
    }
  })

  test('cannot be asked of what is no digest', async () => {
    for (const digest of ['latest', 'sha256:abc', 'md5:abc', `sha256:${'A'.repeat(64)}`]) {
      refused(await client.listReferrers('a', digest), 'digest-invalid')
    }
  })

  test('are described by type, size, artifact type and annotations', async () => {
    const name = freshName()
    const subject = await push(client, name, image())
    const annotations = { 'org.example.key': 'wärt', ['__proto__']: 'own' }
    const typed = await push(client, name, artifact('application/x', subject, { annotations }), 'tagged')
    const untyped = await push(client, name, image({ subject }))
    const emptyType = await push(client, name, image({ subject, fields: { artifactType: '' } }))
    const plainIndex = await push(client, name, index([], { subject }))
    const typedIndex = await push(client, name, index([], { subject, fields: { artifactType: 'application/y' } }))
    const expected = [
      { ...describeContent(typed), artifactType: 'application/x', annotations },
      { ...describeContent(untyped), artifactType: types.config },
      { ...describeContent(emptyType), artifactType: types.config },
      describeContent(plainIndex),
      { ...describeContent(typedIndex), artifactType: 'application/y' },
    ]
    assert.deepEqual(await referrersOf(name, subject.digest), byDigest(expected))
  })

  test('are those of that digest in that repository', async () => {
    const [name, other] = [freshName(), freshName()]
    const [one, two] = [await push(client, name, image()), await push(client, name, image())]
    await push(client, other, image())
    const referrer = await push(client, name, artifact('application/x', one))
    assert.deepEqual(digests(await referrersOf(name, one.digest)), [referrer.digest])
    assert.deepEqual(await referrersOf(name, two.digest), [])
    assert.deepEqual(await referrersOf(other, one.digest), [])
    assert.deepEqual(await referrersOf(name, digestOf(one.bytes, 'sha512')), [])
  })

  test('are known before their subject, which an index may have as well, by tag or by digest', async () => {
    const name = freshName()
    const later = image()
    for (const referrer of [index([image({ subject: later })], { subject: later }), artifact('application/x', later)]) {
      await push(client, name, referrer)
      for (const reference of ['by-tag', referrer.digest]) {
        const reply = await putManifest(client, name, reference, referrer)
        assert.equal(header(reply, 'oci-subject'), later.digest)
      }
    }
    assert.equal((await referrersOf(name, later.digest)).length, 3)
    await push(client, name, later)
    assert.equal((await referrersOf(name, later.digest)).length, 3)
  })

  test('may refer by sha512', async () => {
    const name = freshName()
    const subject = await push(client, name, image({ algorithm: 'sha512' }))
    const referrer = await push(client, name, artifact('application/x', subject))
    assert.deepEqual(digests(await referrersOf(name, subject.digest)), [referrer.digest])
  })
})

describe('referrers of a type', () => {
  const name = 'filtered/referrers'
  const spdx = 'application/spdx+json'

  async function prepared(): Promise<Readonly<Record<'subject' | 'sbom' | 'signature' | 'plain', Built>>> {
    const subject = await push(client, name, image())
    return {
      subject,
      sbom: await push(client, name, artifact(spdx, subject)),
      signature: await push(client, name, artifact('application/vnd.example.signature', subject)),
      plain: await push(client, name, index([], { subject })),
    }
  }

  test('are listed alone, and the answer says that it was filtered', async () => {
    const { subject, sbom } = await prepared()
    for (const spelling of ['application/spdx+json', 'application/spdx%2Bjson', 'application%2Fspdx%2bjson']) {
      const reply = await client.listReferrers(name, subject.digest, `?artifactType=${spelling}`)
      assert.equal(header(reply, 'oci-filters-applied'), 'artifactType')
      assert.deepEqual(digests(listOf(reply)), [sbom.digest])
    }
  })

  test('may be of one type or another', async () => {
    const { subject, sbom, signature } = await prepared()
    const query = `?artifactType=${spdx}&artifactType=application/vnd.example.signature`
    assert.deepEqual(digests(await referrersOf(name, subject.digest, query)), digests([sbom, signature]))
  })

  test('may be none, which is said all the same', async () => {
    const { subject } = await prepared()
    const reply = await client.listReferrers(name, subject.digest, '?artifactType=application/none')
    assert.equal(header(reply, 'oci-filters-applied'), 'artifactType')
    assert.deepEqual(listOf(reply), [])
  })

  test('are all of them where the type is empty or another parameter is meant', async () => {
    const { subject } = await prepared()
    for (const query of ['?artifactType=', '?mediaType=x', '?ns=docker.io']) {
      const reply = await client.listReferrers(name, subject.digest, query)
      assert.equal(reply.headers['oci-filters-applied'], undefined)
      assert.equal(listOf(reply).length, 3)
    }
  })
})

describe('many referrers', () => {
  /** What containerd reads of a list. */
  const mostBytes = 4_393_216

  test('come in pages that a client can read, each of them once', async () => {
    const name = freshName()
    const subject = await push(client, name, image())
    const large = { 'org.example.large': 'x'.repeat(900_000) }
    const pushed: Described[] = []
    for (let at = 0; at < 11; at++) {
      const annotations = { ...large, at: String(at) }
      pushed.push(await push(client, name, artifact(`application/${at % 2}`, subject, { annotations })))
    }
    for (const [query, wanted] of [
      ['', pushed],
      ['?artifactType=application/0', pushed.filter((_, at) => at % 2 === 0)],
    ] as const) {
      const seen: Listed[] = []
      let pages = 0
      for (let next: string | undefined = `/v2/${name}/referrers/${subject.digest}${query}`; next; pages++) {
        const reply = await client.send('GET', next)
        assert.ok(reply.bytes.length < mostBytes)
        assert.equal(reply.headers['oci-filters-applied'] !== undefined, query !== '')
        seen.push(...listOf(reply))
        next = nextLink(reply)
      }
      assert.ok(pages > 1)
      assert.deepEqual(
        seen.map(({ digest }) => digest),
        digests(wanted),
      )
    }
  })
})

describe('referrers of a client that keeps them under a tag', () => {
  test('are listed once, whether the tag names them or not', async () => {
    const name = freshName()
    const subject = await push(client, name, image())
    const [one, two] = [artifact('application/x', subject), artifact('application/y', subject)]
    for (const referrer of [one, two]) await push(client, name, referrer)
    const stranger = await push(client, name, image())
    const described = [one, stranger].map((each) => ({ ...describeContent(each), artifactType: 'application/x' }))
    const json = { schemaVersion: 2, mediaType: types.index, manifests: described }
    const fallback = manifest(json, types.index)
    await push(client, name, fallback, subject.digest.replace(':', '-'))
    assert.deepEqual(digests(await referrersOf(name, subject.digest)), digests([one, two]))
    await client.deleteManifest(name, subject.digest.replace(':', '-'))
    assert.deepEqual(digests(await referrersOf(name, subject.digest)), digests([one, two]))
  })

  test('may be pushed with a config of their own type', async () => {
    const name = freshName()
    const subject = await push(client, name, image())
    const config = blob('{}', { mediaType: 'application/vnd.example.config+json' })
    await push(client, name, image({ subject, config }))
    const [listed] = await referrersOf(name, subject.digest, `?artifactType=${config.mediaType}`)
    assert.equal(listed?.artifactType, config.mediaType)
  })
})
