import assert from 'node:assert/strict'
import type { FactsCase } from './facts.ts'
import { digestFor, inRepository, mixedCase, nameOf, plain, sorted, tagOf } from './facts-tools.ts'

const [alpine, busybox] = [nameOf('library/alpine'), nameOf('library/busybox')]
const [one, two] = [digestFor('one'), digestFor('two')]

export const repositoryCases: Readonly<Record<string, FactsCase>> = {
  'keeps facts about the store by key': async (facts) => {
    assert.equal(await facts.read.store.get('id'), undefined)
    await facts.write((changed) => changed.store.set('id', 'first'))
    await facts.write((changed) => changed.store.set('id', 'second'))
    assert.equal(await facts.read.store.get('id'), 'second')
  },

  'makes a repository once, adopted': async (facts) => {
    assert.equal(await facts.read.repositories.find(alpine), undefined)
    const made = await facts.write((changed) => changed.repositories.ensure(alpine, 1))
    const found = await facts.write((changed) => changed.repositories.ensure(alpine, 2))
    assert.equal(made.state, 'adopted')
    assert.deepEqual(plain(found), plain(made))
    assert.deepEqual(plain(await facts.read.repositories.find(alpine)), plain(made))
    const other = await facts.write((changed) => changed.repositories.ensure(busybox, 1))
    assert.notEqual(other.id, made.id)
  },

  'pages through repositories in byte order': async (facts) => {
    const names = ['a', 'a-b', 'a/b', 'a.b', 'a_b', 'a0', 'ab', 'b', 'b/c/d', 'z'].map(nameOf)
    await facts.write(async (changed) => {
      for (const name of [...names].reverse()) await changed.repositories.ensure(name, 1)
    })
    assert.deepEqual(await facts.read.repositories.page('', 100), sorted(names))
    assert.deepEqual(await facts.read.repositories.page('a/b', 2), sorted(names).slice(4, 6))
    assert.deepEqual(await facts.read.repositories.page('a/a', 1), [nameOf('a/b')])
    assert.deepEqual(await facts.read.repositories.page('z', 10), [])
  },

  'finds repositories by a part of their name, taken literally': async (facts) => {
    await facts.write(async (changed) => {
      for (const name of ['my_app', 'myxapp', 'tools/my_app', 'other']) {
        await changed.repositories.ensure(nameOf(name), 1)
      }
    })
    const found = (term: string, limit = 10) => facts.read.repositories.search(term, limit)
    assert.deepEqual(await found('my_app'), ['my_app', 'tools/my_app'])
    assert.deepEqual(await found('MY_A'), ['my_app', 'tools/my_app'])
    assert.deepEqual(await found('%'), [])
    assert.deepEqual(await found('!'), [])
    assert.deepEqual(await found('', 2), ['my_app', 'myxapp'])
  },

  'a blob is readable where it is linked, and nowhere else': async (facts) => {
    await inRepository(facts, alpine, async (changed, id) => {
      await changed.blobs.add(one, 100, 5)
      assert.equal(await changed.blobs.link(id, one, 5), true)
    })
    await inRepository(facts, busybox, async () => {})
    assert.deepEqual(await facts.read.blobs.sizeIn(alpine, one), { size: 100, touchedAt: 5 })
    assert.equal(await facts.read.blobs.sizeIn(busybox, one), undefined)
    assert.equal(await facts.read.blobs.sizeIn(alpine, two), undefined)
    assert.equal(await facts.read.blobs.isStored(one), true)
    assert.equal(await facts.read.blobs.isStored(two), false)
    assert.deepEqual(await facts.read.blobs.holders(one, 10), [alpine])
    assert.deepEqual(await facts.read.blobs.holders(two, 10), [])
  },

  'a link says whether it is new, and is noted as relied on': async (facts) => {
    const link = (now: number) =>
      inRepository(facts, alpine, async (changed, id) => {
        await changed.blobs.add(one, 100, now)
        return changed.blobs.link(id, one, now)
      })
    assert.equal(await link(10), true)
    assert.equal(await link(20), false)
    assert.equal((await facts.read.blobs.sizeIn(alpine, one))?.touchedAt, 20)
    await inRepository(facts, alpine, (changed, id) => changed.blobs.touch(id, one, 30))
    assert.equal((await facts.read.blobs.sizeIn(alpine, one))?.touchedAt, 30)
    assert.equal(await link(40), false)
  },

  'a blob that arrives again replaces its size': async (facts) => {
    await inRepository(facts, alpine, async (changed, id) => {
      await changed.blobs.add(one, 7, 1)
      await changed.blobs.add(one, 100, 2)
      await changed.blobs.link(id, one, 2)
    })
    assert.equal((await facts.read.blobs.sizeIn(alpine, one))?.size, 100)
  },

  'bytes that lie elsewhere are read there until they are moved, or stored anew': async (facts) => {
    const stored = async () => [
      (await facts.read.blobs.sizeIn(alpine, one))?.storedAt,
      (await facts.read.collection.find(one))?.storedAt,
    ]
    const moved = (from: string) => facts.write((changed) => changed.blobs.moved(one, from))
    await inRepository(facts, alpine, async (changed, id) => {
      await changed.blobs.add(one, 100, 1, 'uploads/a')
      await changed.blobs.link(id, one, 1)
    })
    assert.deepEqual(await stored(), ['uploads/a', 'uploads/a'])
    await facts.write((changed) => changed.blobs.add(one, 100, 2, 'uploads/b'))
    assert.equal(await moved('uploads/a'), false)
    assert.deepEqual(await stored(), ['uploads/b', 'uploads/b'])
    assert.equal(await moved('uploads/b'), true)
    assert.equal(await moved('uploads/b'), false)
    assert.deepEqual(await stored(), [undefined, undefined])
    await facts.write((changed) => changed.blobs.add(one, 100, 3, 'uploads/c'))
    await facts.write((changed) => changed.blobs.add(one, 100, 4))
    assert.deepEqual(await stored(), [undefined, undefined])
  },

  'an unlinked blob is unreadable but stored': async (facts) => {
    await inRepository(facts, alpine, async (changed, id) => {
      await changed.blobs.add(one, 100, 1)
      await changed.blobs.link(id, one, 1)
      assert.equal(await changed.blobs.isLinked(id, one), true)
      assert.equal(await changed.blobs.unlink(id, one), true)
      assert.equal(await changed.blobs.unlink(id, one), false)
      assert.equal(await changed.blobs.isLinked(id, one), false)
    })
    assert.equal(await facts.read.blobs.sizeIn(alpine, one), undefined)
    assert.equal(await facts.read.blobs.isStored(one), true)
    assert.deepEqual(await facts.read.blobs.holders(one, 10), [])
  },

  'says which of many digests are linked, beyond any limit of parameters': async (facts) => {
    const all = Array.from({ length: 2500 }, (_, n) => digestFor(`blob ${n}`))
    const linked = all.filter((_, n) => n % 3 === 0)
    const [found, none] = await inRepository(facts, alpine, async (changed, id) => {
      for (const digest of linked) await changed.blobs.link(id, digest, 1)
      return [await changed.blobs.linkedAmong(id, all), await changed.blobs.linkedAmong(id, [])]
    })
    assert.deepEqual(sorted(found), sorted(linked))
    assert.equal(none.size, 0)
  },

  'pages through tags in byte order': async (facts) => {
    const { id } = await facts.write((changed) => changed.repositories.ensure(alpine, 1))
    const other = await facts.write((changed) => changed.repositories.ensure(busybox, 1))
    await facts.write(async (changed) => {
      for (const tag of [...mixedCase].reverse()) await changed.tags.set(id, tagOf(tag), one, 1)
      await changed.tags.set(other.id, tagOf('elsewhere'), one, 1)
    })
    assert.deepEqual(await facts.read.tags.page(id, '', 100), sorted(mixedCase))
    assert.deepEqual(await facts.read.tags.page(id, 'Z', 3), sorted(mixedCase).slice(3, 6))
    assert.deepEqual(await facts.read.tags.page(id, 'a', 1), ['a-1'])
    assert.deepEqual(await facts.read.tags.page(id, 'zz', 100), [])
  },

  'a tag moves, and remembers what it pointed to until it is deleted': async (facts) => {
    const { id } = await facts.write((changed) => changed.repositories.ensure(alpine, 1))
    const tag = tagOf('latest')
    const { tags } = facts.read
    await facts.write(async (changed) => {
      for (const digest of [one, two, one]) await changed.tags.set(id, tag, digest, 1)
      await changed.tags.set(id, tagOf('other'), two, 1)
    })
    assert.equal(await tags.digest(id, tag), one)
    assert.deepEqual(sorted(await tags.history(id, tag)), sorted([one, two]))
    assert.equal(await tags.hadPointedTo(id, tag, two), true)
    assert.equal(await tags.hadPointedTo(id, tagOf('other'), one), false)
    assert.deepEqual(await tags.pointingTo(id, one), [tag])
    assert.deepEqual(await tags.pointingTo(id, two), ['other'])
    assert.equal(await facts.write((changed) => changed.tags.delete(id, tag)), true)
    assert.equal(await facts.write((changed) => changed.tags.delete(id, tag)), false)
    assert.equal(await tags.digest(id, tag), undefined)
    assert.deepEqual(await tags.history(id, tag), [])
    assert.deepEqual(await tags.history(id, tagOf('other')), [two])
  },
}
