import assert from 'node:assert/strict'
import type { Damage, Review } from '../../metadata/facts-upkeep.ts'
import type { FactsCase } from './facts.ts'
import { digestFor, nameOf, sorted } from './facts-tools.ts'

const [alpine, busybox] = [nameOf('library/alpine'), nameOf('library/busybox')]
const [one, two] = [digestFor('one'), digestFor('two')]

function review(more: Partial<Review> = {}): Review {
  return { kind: 'blob', repositoryId: 0, digest: one, due: 10, reason: 'deleted', ...more }
}

function damage(key: string, more: Partial<Damage> = {}): Damage {
  return { key, kind: 'content', repository: '', digest: one, detail: 'empty', foundAt: 5, ...more }
}

/** What must be looked at, and what is wrong. */
export const reviewCases: Readonly<Record<string, FactsCase>> = {
  'a review that is asked for again keeps the earlier time and takes the later reason': async (facts) => {
    const asked = (more: Partial<Review>) => facts.write((changed) => changed.reviews.add(review(more)))
    const all = () => facts.read.reviews.due(1000, undefined, 10)
    await asked({ due: 100, reason: 'abandoned' })
    await asked({ due: 50, reason: 'deleted' })
    assert.deepEqual(await all(), [review({ due: 50, reason: 'deleted' })])
    await asked({ due: 200, reason: 'rule' })
    assert.deepEqual(await all(), [review({ due: 50, reason: 'rule' })])
  },

  'reviews are walked in the order in which they are due, however many are due at once': async (facts) => {
    const ordered = [
      review({ due: 5, digest: digestFor('early') }),
      ...sorted([one, two]).map((digest) => review({ due: 10, digest })),
      review({ due: 10, kind: 'subject', repositoryId: 2, digest: two }),
      review({ due: 10, kind: 'subject', repositoryId: 10, digest: one }),
      review({ due: 20, kind: 'subject', repositoryId: 1, digest: one }),
    ]
    const late = review({ due: 21, digest: digestFor('late') })
    await facts.write(async (changed) => {
      for (const each of [late, ...[...ordered].reverse()]) await changed.reviews.add(each)
    })
    const seen: Review[] = []
    for (;;) {
      const page = await facts.read.reviews.due(20, seen.at(-1), 2)
      if (page.length === 0) break
      seen.push(...page)
    }
    assert.deepEqual(seen, ordered)
    assert.equal(await facts.read.reviews.count(20), ordered.length)
    assert.equal(await facts.read.reviews.count(21), ordered.length + 1)
    assert.equal(await facts.read.reviews.count(4), 0)
  },

  'a review is put off or forgotten only as it was read': async (facts) => {
    const read = review()
    const all = () => facts.read.reviews.due(1000, undefined, 10)
    for (const anew of [review({ due: 5 }), review({ due: 5, reason: 'rule' })]) {
      await facts.write(async (changed) => {
        await changed.reviews.add(read)
        await changed.reviews.add(anew)
        await changed.reviews.putOff(read, 500)
        await changed.reviews.remove(read)
      })
      assert.deepEqual(await all(), [anew])
    }
    const now = review({ due: 5, reason: 'rule' })
    await facts.write((changed) => changed.reviews.putOff(now, 500))
    assert.deepEqual(await all(), [{ ...now, due: 500 }])
    await facts.write((changed) => changed.reviews.remove({ ...now, due: 500 }))
    assert.deepEqual(await all(), [])
  },

  'a review of the same reason that is asked for at a later time leaves the one that was read': async (facts) => {
    await facts.write(async (changed) => {
      await changed.reviews.add(review({ due: 10 }))
      await changed.reviews.add(review({ due: 90 }))
      await changed.reviews.remove(review({ due: 10 }))
    })
    assert.equal(await facts.read.reviews.count(1000), 0)
  },

  'damage is named once a key, as it was last found': async (facts) => {
    const [first, last] = [damage('a'), damage('a', { kind: 'link', repository: alpine, detail: 'short', foundAt: 6 })]
    const { digest: _, ...nothing } = damage('b', { kind: 'stray' })
    await facts.write(async (changed) => {
      for (const each of [first, last, nothing]) await changed.damages.add(each)
    })
    assert.deepEqual(await facts.read.damages.page('', 10), [last, nothing])
    assert.deepEqual(await facts.read.damages.page('a', 10), [nothing])
    assert.equal(await facts.read.damages.count(), 2)
    await facts.write((changed) => changed.damages.remove('a'))
    assert.deepEqual(await facts.read.damages.page('', 10), [nothing])
  },

  'damage at a very long name is kept, listed and ended as any other': async (facts) => {
    const folder = `${'é'.repeat(2000)}/`
    const keys = ['a', `${folder}a`, `${folder}b`, 'z'].sort()
    await facts.write(async (changed) => {
      for (const key of keys) await changed.damages.add(damage(key, { detail: 'first' }))
      for (const key of keys) await changed.damages.add(damage(key))
    })
    const seen: string[] = []
    for (let after = ''; ; after = seen.at(-1)!) {
      const page = await facts.read.damages.page(after, 1)
      if (page.length === 0) break
      seen.push(...page.map((each) => each.key))
    }
    assert.deepEqual(sorted(seen), sorted(keys))
    await facts.write((changed) => changed.damages.remove(`${folder}a`))
    const left = keys.filter((key) => key !== `${folder}a`)
    assert.deepEqual(sorted((await facts.read.damages.page('', 10)).map(({ key }) => key)), sorted(left))
  },

  'bytes that are whole again end the damage of their digest, not that of links to it': async (facts) => {
    const others = [damage('b', { kind: 'link', repository: alpine }), damage('c', { digest: two })]
    await facts.write(async (changed) => {
      for (const each of [damage('a'), ...others]) await changed.damages.add(each)
      await changed.damages.removeOf(one)
    })
    assert.deepEqual(await facts.read.damages.page('', 10), others)
  },

  'a repository that is read anew begins without damage': async (facts) => {
    const others = [damage('b', { kind: 'tag', repository: busybox }), damage('c')]
    await facts.write(async (changed) => {
      for (const each of [damage('a', { kind: 'revision', repository: alpine }), ...others]) {
        await changed.damages.add(each)
      }
      await changed.damages.clear(alpine)
    })
    assert.deepEqual(await facts.read.damages.page('', 10), others)
  },
}
