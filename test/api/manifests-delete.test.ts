/** Deleting tags and manifests (distribution-spec, "Content Management"). */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { header, jsonOf } from '../support/client.ts'
import { artifact, digestOf, image, index, push } from '../support/image.ts'
import { refused } from '../support/refusals.ts'
import { freshName, serve } from '../support/served.ts'

const { client } = await serve()
const tagsOf = async (name: string) => jsonOf<{ tags: string[] }>(await client.listTags(name)).tags

describe('deleting a tag', () => {
  test('takes that tag alone', async () => {
    const name = freshName()
    const pushed = await push(client, name, image(), 'a', 'b')
    const reply = await client.deleteManifest(name, 'a')
    assert.deepEqual([reply.status, header(reply, 'content-length')], [202, '0'])
    refused(await client.getManifest(name, 'a'), 'manifest-unknown')
    assert.equal((await client.headManifest(name, 'a')).status, 404)
    for (const reference of ['b', pushed.digest]) {
      assert.deepEqual((await client.getManifest(name, reference)).bytes, pushed.bytes)
    }
    assert.deepEqual(await tagsOf(name), ['b'])
    refused(await client.deleteManifest(name, 'a'), 'manifest-unknown')
  })

  test('that was the last leaves a repository with no tags', async () => {
    const name = freshName()
    const pushed = await push(client, name, image(), 'only')
    assert.equal((await client.deleteManifest(name, 'only')).status, 202)
    assert.deepEqual(jsonOf(await client.listTags(name)), { name, tags: [] })
    assert.equal((await client.getManifest(name, pushed.digest)).status, 200)
  })

  test('can be undone by pushing it again', async () => {
    const name = freshName()
    const pushed = await push(client, name, image(), 'tag')
    await client.deleteManifest(name, 'tag')
    await push(client, name, pushed, 'tag')
    assert.deepEqual(await tagsOf(name), ['tag'])
  })
})

describe('deleting a manifest', () => {
  test('takes it and every tag that leads to it', async () => {
    const name = freshName()
    const [pushed, other] = [await push(client, name, image(), 'a', 'b'), await push(client, name, image(), 'c')]
    await push(client, name, other, 'b')
    await push(client, name, pushed, 'd')
    assert.equal((await client.deleteManifest(name, pushed.digest)).status, 202)
    for (const reference of ['a', 'd', pushed.digest]) {
      refused(await client.getManifest(name, reference), 'manifest-unknown')
    }
    assert.deepEqual(await tagsOf(name), ['b', 'c'])
    assert.deepEqual((await client.getManifest(name, 'b')).bytes, other.bytes)
    refused(await client.deleteManifest(name, pushed.digest), 'manifest-unknown')
  })

  test('takes it from no other repository', async () => {
    const [name, other] = [freshName(), freshName()]
    const pushed = await push(client, name, image())
    await push(client, other, pushed)
    await client.deleteManifest(name, pushed.digest)
    assert.deepEqual((await client.getManifest(other, pushed.digest)).bytes, pushed.bytes)
  })

  test('is refused while an index names it, and says which', async () => {
    const name = freshName()
    const pushed = await push(client, name, index([image()]), 'many')
    const child = pushed.children[0]?.digest ?? ''
    const [entry] = refused(await client.deleteManifest(name, child), 'content-in-use')
    assert.deepEqual(entry?.detail, { digest: child, by: [pushed.digest] })
    assert.equal((await client.deleteManifest(name, pushed.digest)).status, 202)
    assert.equal((await client.deleteManifest(name, child)).status, 202)
  })

  test('is not refused for the sake of its referrers, which stay', async () => {
    const name = freshName()
    const subject = await push(client, name, image())
    const referrer = await push(client, name, artifact('application/x', subject))
    assert.equal((await client.deleteManifest(name, subject.digest)).status, 202)
    const listed = jsonOf<{ manifests: { digest: string }[] }>(await client.listReferrers(name, subject.digest))
    assert.deepEqual(
      listed.manifests.map(({ digest }) => digest),
      [referrer.digest],
    )
    assert.equal((await client.deleteManifest(name, referrer.digest)).status, 202)
    const empty = jsonOf<{ manifests: unknown[] }>(await client.listReferrers(name, subject.digest))
    assert.deepEqual(empty.manifests, [])
  })

  test('can be undone by pushing it again', async () => {
    const name = freshName()
    const pushed = await push(client, name, image(), 'tag')
    await client.deleteManifest(name, pushed.digest)
    await push(client, name, pushed, 'tag')
    assert.deepEqual((await client.getManifest(name, 'tag')).bytes, pushed.bytes)
  })

  test('that is not there is refused', async () => {
    const name = freshName()
    await push(client, name, image())
    refused(await client.deleteManifest(name, digestOf('never pushed')), 'manifest-unknown')
    refused(await client.deleteManifest(name, 'never-pushed'), 'manifest-unknown')
    refused(await client.deleteManifest('no/such', 'latest'), 'repository-unknown')
    refused(await client.deleteManifest('no/such', digestOf('x')), 'repository-unknown')
    refused(await client.deleteManifest(name, 'sha256:abc'), 'digest-invalid')
  })
})
