import assert from 'node:assert/strict'
import type { FactQueries, Facts } from '../../metadata/facts.ts'
import type { DamageKind, UploadState } from '../../metadata/schema.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import { newUploadId, type UploadId } from '../../oci/name.ts'
import type { FactsCase } from './facts.ts'
import { digestFor, inRepository, manifestOf, nameOf, sorted } from './facts-tools.ts'

const [alpine, busybox] = [nameOf('library/alpine'), nameOf('library/busybox')]
const [one, two, three] = [digestFor('one'), digestFor('two'), digestFor('three')]
const id = newUploadId()

type Change = (changed: FactQueries, repository: number) => Promise<unknown>

const trashed = (changed: FactQueries, repositoryId: number, references = [one], entry: UploadId = id) =>
  changed.trash.add(
    {
      id: entry,
      repositoryId,
      kind: 'manifest',
      digest: digestFor('m'),
      mediaType: mediaTypes.imageManifest,
      tags: [],
      reason: 'deleted by a client',
      deletedAt: 1,
    },
    references,
  )

const arriving = (changed: FactQueries, state: UploadState) =>
  changed.uploads.add({
    id,
    repository: alpine,
    state,
    stage: '',
    algorithm: 'sha256',
    committing: one,
    version: 0,
    updatedAt: 1,
  })

/** Everything that can use bytes, and how it ends. */
const uses: readonly { readonly what: string; readonly begin: Change; readonly end: Change }[] = [
  {
    what: 'a link',
    begin: (changed, repository) => changed.blobs.link(repository, one, 1),
    end: (changed, repository) => changed.blobs.unlink(repository, one),
  },
  {
    what: 'a manifest that is the bytes',
    begin: (changed, repository) => changed.manifests.put(repository, manifestOf('one'), 1),
    end: (changed, repository) => changed.manifests.delete(repository, one),
  },
  {
    what: 'a manifest that names them',
    begin: (changed, repository) => changed.manifests.put(repository, manifestOf('m', { references: [one] }), 1),
    end: (changed, repository) => changed.manifests.delete(repository, digestFor('m')),
  },
  {
    what: 'the trash',
    begin: (changed, repository) => trashed(changed, repository, [two, one]),
    end: (changed) => changed.trash.remove(id),
  },
  {
    what: 'an upload that is becoming them',
    begin: (changed) => arriving(changed, 'committing'),
    end: (changed) => changed.uploads.change(id, 0, { state: 'finished', updatedAt: 2 }),
  },
  {
    what: 'an upload whose bytes arrive under their digest',
    begin: (changed) => arriving(changed, 'receiving'),
    end: (changed) => changed.uploads.change(id, 0, { committing: undefined, updatedAt: 2 }),
  },
]

const change = (facts: Facts, work: Change) => inRepository(facts, alpine, work)
const condemn = (facts: Facts, until: number, now: number) =>
  facts.write((changed) => changed.collection.condemn(one, until, now))

export const collectionCases: Readonly<Record<string, FactsCase>> = {
  ...Object.fromEntries(
    uses.map(({ what, begin, end }): [string, FactsCase] => [
      `${what} keeps bytes from being condemned, and nothing does once it is gone`,
      async (facts) => {
        await facts.write((changed) => changed.blobs.add(one, 3, 1))
        await change(facts, begin)
        assert.equal(await facts.read.collection.isUsed(one), true)
        assert.equal(await condemn(facts, 100, 10), false)
        assert.equal((await facts.read.collection.find(one))?.condemnedUntil, undefined)
        await change(facts, end)
        assert.equal(await facts.read.collection.isUsed(one), false)
        assert.equal(await condemn(facts, 100, 10), true)
      },
    ]),
  ),

  'what an unadopted repository says keeps bytes too': async (facts) => {
    await change(facts, async (changed, repository) => {
      await changed.blobs.link(repository, one, 1)
      await changed.adoption.setState(repository, 'unadopted')
    })
    assert.equal(await facts.read.collection.isUsed(one), true)
  },

  'bytes are condemned by one collector at a time': async (facts) => {
    assert.equal(await condemn(facts, 100, 10), false, 'nothing is there')
    await facts.write((changed) => changed.blobs.add(one, 3, 1))
    assert.equal(await condemn(facts, 100, 10), true)
    assert.equal(await condemn(facts, 110, 50), false)
    assert.equal(await condemn(facts, 200, 100), false)
    assert.deepEqual(await facts.read.collection.find(one), { digest: one, size: 3, condemnedUntil: 100 })
    assert.equal(await condemn(facts, 200, 101), true, 'a claim that is over holds nobody back')
    assert.equal((await facts.read.collection.find(one))?.condemnedUntil, 200)
  },

  'condemned bytes are not stored to stay, and read by nobody': async (facts) => {
    await facts.write((changed) => changed.blobs.add(one, 3, 1))
    assert.equal(await condemn(facts, 100, 10), true)
    await change(facts, (changed, repository) => changed.blobs.link(repository, one, 1))
    assert.equal(await facts.read.blobs.isStored(one), false)
    assert.equal(await facts.read.blobs.sizeIn(alpine, one), undefined)
    assert.deepEqual(await facts.read.blobs.holders(one, 10), [])
    await facts.write((changed) => changed.blobs.add(one, 3, 2))
    assert.equal(await facts.read.blobs.isStored(one), true)
    assert.equal((await facts.read.blobs.sizeIn(alpine, one))?.size, 3)
    assert.deepEqual(await facts.read.blobs.holders(one, 10), [alpine])
  },

  'bytes that are stored anew are condemned no more, and nobody can forget them': async (facts) => {
    await facts.write((changed) => changed.blobs.add(one, 3, 1))
    await condemn(facts, 100, 10)
    await facts.write((changed) => changed.blobs.add(one, 3, 20))
    assert.equal((await facts.read.collection.find(one))?.condemnedUntil, undefined)
    assert.equal(await facts.write((changed) => changed.collection.forget(one, 100)), false)
  },

  'an upload that is bringing bytes uses them, and does not keep them': async (facts) => {
    await change(facts, (changed) => arriving(changed, 'committing'))
    assert.equal(await facts.read.collection.isUsed(one), true)
    assert.equal(await facts.read.collection.isKept(one), false)
  },

  'a collector that was too slow cannot forget the bytes of another claim': async (facts) => {
    const forget = (until: number) => facts.write((changed) => changed.collection.forget(one, until))
    await facts.write((changed) => changed.blobs.add(one, 3, 1))
    assert.equal(await forget(100), false, 'nobody condemned them')
    await condemn(facts, 100, 10)
    await condemn(facts, 200, 101)
    assert.equal(await forget(100), false)
    assert.equal(await forget(200), true)
    assert.equal(await forget(200), false)
    assert.equal(await facts.read.collection.find(one), undefined)
  },

  'condemned bytes are listed, oldest claim first': async (facts) => {
    await facts.write(async (changed) => {
      for (const [digest, until] of [
        [one, 300],
        [two, 100],
        [three, 200],
      ] as const) {
        await changed.blobs.add(digest, 3, 1)
        await changed.collection.condemn(digest, until, 1)
      }
      await changed.blobs.add(digestFor('whole'), 3, 1)
    })
    const listed = async (limit: number) => (await facts.read.collection.condemned(limit)).map((blob) => blob.digest)
    assert.deepEqual(await listed(10), [two, three, one])
    assert.deepEqual(await listed(1), [two])
  },

  'a link is unneeded where nothing of its own repository needs it': async (facts) => {
    const unneeded = async () =>
      (await facts.read.collection.unneededLinks(one, 0)).map(
        ({ repository, touchedAt }) => `${repository} ${touchedAt}`,
      )
    await inRepository(facts, busybox, (changed, other) => changed.blobs.link(other, one, 7))
    await change(facts, (changed, repository) => changed.blobs.link(repository, one, 5))
    const both = ['library/alpine 5', 'library/busybox 7']
    assert.deepEqual(sorted(await unneeded()), both)
    for (const { what, begin, end } of uses.slice(1, 4)) {
      await change(facts, begin)
      assert.deepEqual(await unneeded(), ['library/busybox 7'], what)
      await change(facts, end)
      assert.deepEqual(sorted(await unneeded()), both, what)
    }
    await change(facts, (changed, repository) => changed.adoption.setState(repository, 'unadopted'))
    assert.deepEqual(await unneeded(), ['library/busybox 7'])
  },

  'trash that is past its time needs neither bytes nor links, and they stay until it is purged': async (facts) => {
    await change(facts, async (changed, repository) => {
      await changed.blobs.add(one, 3, 1)
      await changed.blobs.link(repository, one, 5)
      await trashed(changed, repository)
    })
    const { isReferred, unneededLinks, linkCount, isUsed } = facts.read.collection
    const needed = async (purgedBefore: number) => [
      await isReferred(one, purgedBefore),
      (await unneededLinks(one, purgedBefore)).length === 0,
    ]
    assert.deepEqual(await needed(1), [true, true])
    assert.deepEqual(await needed(2), [false, false])
    assert.equal(await linkCount(one), 1)
    await change(facts, (changed, repository) => changed.blobs.unlink(repository, one))
    assert.equal(await linkCount(one), 0)
    assert.equal(await isUsed(one), true)
    assert.equal(await condemn(facts, 100, 10), false)
  },

  'no link is unneeded where the references of a repository may be unknown': async (facts) => {
    await change(facts, (changed, repository) => changed.blobs.link(repository, one, 5))
    const verdict: Record<DamageKind, number> = { link: 0, revision: 0, manifest: 0, tag: 1, content: 1, stray: 1 }
    for (const [kind, count] of Object.entries(verdict) as [DamageKind, number][]) {
      await facts.write((changed) =>
        changed.damages.add({ key: 'key', kind, repository: alpine, detail: 'empty', foundAt: 1 }),
      )
      assert.equal((await facts.read.collection.unneededLinks(one, 0)).length, count, kind)
      await facts.write((changed) =>
        changed.damages.add({ key: 'key', kind, repository: busybox, detail: 'empty', foundAt: 1 }),
      )
      assert.equal((await facts.read.collection.unneededLinks(one, 0)).length, 1, `${kind}, elsewhere`)
    }
  },

  'damaged bytes are read by nobody until they are whole': async (facts) => {
    await change(facts, async (changed, repository) => {
      await changed.blobs.add(one, 3, 1)
      await changed.blobs.link(repository, one, 1)
      await changed.collection.markDamaged(one, 9)
    })
    assert.deepEqual(await facts.read.collection.find(one), { digest: one, size: 3, damagedAt: 9 })
    assert.equal(await facts.read.blobs.sizeIn(alpine, one), undefined)
    assert.deepEqual(await facts.read.blobs.holders(one, 10), [])
    await facts.write((changed) => changed.collection.markWhole(one, 4))
    assert.equal((await facts.read.blobs.sizeIn(alpine, one))?.size, 4)
    await facts.write((changed) => changed.collection.markDamaged(one, 9))
    await facts.write((changed) => changed.blobs.add(one, 3, 10))
    assert.deepEqual(await facts.read.blobs.holders(one, 10), [alpine])
  },

  'stored bytes are paged by digest, and summed': async (facts) => {
    assert.deepEqual(await facts.read.collection.totals(), { blobs: 0, bytes: 0 })
    await facts.write(async (changed) => {
      for (const digest of [one, two, three]) await changed.blobs.add(digest, 2 ** 40, 1)
    })
    const all = sorted([one, two, three])
    const page = async (after: string, limit: number) =>
      (await facts.read.collection.page(after, limit)).map((blob) => blob.digest)
    assert.deepEqual(await page('', 10), all)
    assert.deepEqual(await page(all[0]!, 1), [all[1]])
    assert.deepEqual(await page(all[2]!, 1), [])
    assert.deepEqual(await facts.read.collection.totals(), { blobs: 3, bytes: 3 * 2 ** 40 })
  },
}
