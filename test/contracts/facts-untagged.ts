import assert from 'node:assert/strict'
import type { FactsCase } from './facts.ts'
import { digestFor, inRepository, manifestOf, nameOf, sorted, tagOf } from './facts-tools.ts'

const [alpine, busybox] = [nameOf('library/alpine'), nameOf('library/busybox')]
const [one, subject] = [digestFor('one'), digestFor('subject')]

/** Manifests that nobody can find by name, and who uses a blob. */
export const untaggedCases: Readonly<Record<string, FactsCase>> = {
  'a manifest is untagged where no tag, no index and no subject holds it': async (facts) => {
    const repository = await inRepository(facts, alpine, async (changed, id) => {
      await changed.manifests.put(id, manifestOf('loose'), 10)
      await changed.manifests.put(id, manifestOf('tagged'), 10)
      await changed.tags.set(id, tagOf('v1'), digestFor('tagged'), 10)
      await changed.manifests.put(id, manifestOf('child'), 10)
      await changed.manifests.put(id, manifestOf('index', { references: [digestFor('child')] }), 10)
      await changed.tags.set(id, tagOf('v2'), digestFor('index'), 10)
      await changed.manifests.put(id, manifestOf('signature', { subject: digestFor('tagged') }), 10)
      await changed.manifests.put(id, manifestOf('orphan', { subject: digestFor('nothing') }), 10)
      await changed.manifests.put(id, manifestOf('young'), 20)
      const other = await changed.repositories.ensure(busybox, 1)
      await changed.tags.set(other.id, tagOf('v1'), digestFor('loose'), 10)
      await changed.manifests.put(other.id, manifestOf('i', { references: [digestFor('loose')] }), 10)
      return id
    })
    const untagged = (before: number, after = '', limit = 10) =>
      facts.read.collection.untagged(repository, before, after, limit)
    const expected = sorted(['loose', 'orphan'].map(digestFor))
    assert.deepEqual(await untagged(20), expected)
    assert.deepEqual(await untagged(20, '', 1), expected.slice(0, 1))
    assert.deepEqual(await untagged(20, expected[0]), expected.slice(1))
    assert.deepEqual(await untagged(10), [])
    assert.deepEqual(await untagged(21), sorted([...expected, digestFor('young')]))
  },

  'what points to a subject is listed unless a tag or an index holds it': async (facts) => {
    const { collection } = facts.read
    const repository = await inRepository(facts, alpine, async (changed, id) => {
      for (const text of ['a', 'b', 'tagged', 'child'])
        await changed.manifests.put(id, manifestOf(text, { subject }), 10)
      await changed.manifests.put(id, manifestOf('of another', { subject: one }), 10)
      await changed.manifests.put(id, manifestOf('index', { references: [digestFor('child')] }), 10)
      await changed.tags.set(id, tagOf('v1'), digestFor('tagged'), 10)
      return id
    })
    const expected = sorted(['a', 'b'].map(digestFor)).map((digest) => ({ digest, pushedAt: 10 }))
    assert.deepEqual(await collection.untaggedReferrers(repository, subject, 10), expected)
    assert.deepEqual(await collection.untaggedReferrers(repository, subject, 1), expected.slice(0, 1))
    assert.equal(await collection.hasReferrers(repository, subject), true)
    assert.equal(await collection.hasReferrers(repository, digestFor('a')), false)
    assert.equal(await collection.hasReferrers(repository + 1, subject), false)
  },

  'what decides about an untagged manifest is when it was pushed, and what it points to': async (facts) => {
    const repository = await inRepository(facts, alpine, async (changed, id) => {
      await changed.manifests.put(id, manifestOf('m', { subject }), 10)
      await changed.manifests.put(id, manifestOf('n'), 20)
      return id
    })
    const { standing } = facts.read.collection
    assert.deepEqual(await standing(repository, digestFor('m')), { pushedAt: 10, subject })
    assert.deepEqual(await standing(repository, digestFor('n')), { pushedAt: 20 })
    assert.equal(await standing(repository + 1, digestFor('m')), undefined)
  },

  'a manifest says all that it names': async (facts) => {
    const references = [one, subject]
    const found = await inRepository(facts, alpine, async (changed, id) => {
      await changed.manifests.put(id, manifestOf('m', { references }), 1)
      await changed.manifests.put(id, manifestOf('other', { references: [digestFor('x')] }), 1)
      return changed.manifests.references(id, digestFor('m'))
    })
    assert.deepEqual(sorted(found), sorted(references))
  },

  'who uses a blob is named by repository, manifest and tags': async (facts) => {
    await inRepository(facts, alpine, async (changed, id) => {
      await changed.blobs.link(id, one, 1)
      await changed.manifests.put(id, manifestOf('m', { references: [one] }), 1)
      await changed.manifests.put(id, manifestOf('untagged', { references: [one] }), 1)
      for (const tag of ['v1', 'v2']) await changed.tags.set(id, tagOf(tag), digestFor('m'), 1)
      const other = await changed.repositories.ensure(busybox, 1)
      await changed.blobs.link(other.id, one, 1)
      const cache = await changed.repositories.ensure(nameOf('cache'), 1)
      await changed.manifests.put(cache.id, manifestOf('one'), 1)
      const hidden = await changed.repositories.ensure(nameOf('hidden'), 1)
      await changed.blobs.link(hidden.id, one, 1)
      await changed.adoption.setState(hidden.id, 'unadopted')
    })
    const line = (...parts: readonly (string | undefined)[]) => parts.join(' ')
    const users = async (limit: number) =>
      (await facts.read.collection.usersOf(one, limit)).map((user) => line(user.repository, user.manifest, user.tag))
    const expected = [
      line(alpine, digestFor('m'), 'v1'),
      line(alpine, digestFor('m'), 'v2'),
      line(alpine, digestFor('untagged'), undefined),
      line(busybox, undefined, undefined),
      line('cache', one, undefined),
    ]
    assert.deepEqual(sorted(await users(10)), sorted(expected))
    assert.equal((await users(2)).length, 2)
    assert.deepEqual(await facts.read.collection.usersOf(digestFor('nobody'), 10), [])
  },
}
