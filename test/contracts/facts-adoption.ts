import assert from 'node:assert/strict'
import type { Facts } from '../../metadata/facts.ts'
import type { PastTagPlace } from '../../metadata/facts-upkeep.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import type { FactsCase } from './facts.ts'
import { digestFor, inRepository, manifestOf, mixedCase, nameOf, sorted, tagOf } from './facts-tools.ts'

const [alpine, busybox] = [nameOf('library/alpine'), nameOf('library/busybox')]
const [one, two, three] = [digestFor('one'), digestFor('two'), digestFor('three')]

async function namesIn(facts: Facts, state: 'adopted' | 'unadopted', after = '', limit = 10) {
  return (await facts.read.adoption.inState(state, after, limit)).map(({ name }) => name)
}

const idOf = async (facts: Facts, name = alpine) => (await facts.read.repositories.find(name))!.id

/** A repository with a little of everything. */
const filled = (facts: Facts) =>
  inRepository(facts, alpine, async (changed, id) => {
    await changed.blobs.add(one, 3, 1)
    await changed.blobs.link(id, one, 1)
    await changed.manifests.put(id, manifestOf('m', { references: [one, two] }), 1)
    await changed.manifests.put(id, manifestOf('sbom', { subject: digestFor('m') }), 1)
    await changed.tags.set(id, tagOf('v1'), digestFor('sbom'), 1)
    await changed.tags.set(id, tagOf('v1'), digestFor('m'), 1)
    return id
  })

export const adoptionCases: Readonly<Record<string, FactsCase>> = {
  'announced repositories are listed and unadopted, and known ones stay as they are': async (facts) => {
    await inRepository(facts, alpine, async () => {})
    await inRepository(facts, nameOf('gone'), (changed, id) => changed.adoption.markAbsent(id, 5))
    const many = Array.from({ length: 1200 }, (_, n) => nameOf(`many/r${n}`))
    await facts.write((changed) => changed.adoption.announce([alpine, nameOf('gone'), busybox, ...many], 2))
    assert.equal((await facts.read.repositories.find(alpine))?.state, 'adopted')
    assert.equal((await facts.read.repositories.find(busybox))?.state, 'unadopted')
    assert.equal(await facts.read.repositories.find(nameOf('gone')), undefined)
    assert.deepEqual(await facts.read.adoption.counts(), { unadopted: 1201, adopted: 1 })
    assert.deepEqual(await facts.read.repositories.page('', 2), [alpine, busybox])
    assert.deepEqual(await facts.read.repositories.search('box', 10), [busybox])
    assert.deepEqual(await namesIn(facts, 'adopted'), [alpine])
    const id = await idOf(facts, busybox)
    assert.deepEqual({ ...(await facts.read.adoption.listed(id)) }, { id, name: busybox })
    assert.equal(await facts.read.adoption.listed(-1), undefined)
    assert.deepEqual(await namesIn(facts, 'unadopted', busybox, 2), sorted(many).slice(0, 2))
  },

  'a repository that is made again while it is unadopted stays unadopted': async (facts) => {
    await facts.write((changed) => changed.adoption.announce([alpine], 1))
    assert.equal((await facts.write((changed) => changed.repositories.ensure(alpine, 2))).state, 'unadopted')
    const id = await idOf(facts)
    await facts.write((changed) => changed.adoption.setState(id, 'adopted'))
    assert.equal((await facts.read.repositories.find(alpine))?.state, 'adopted')
  },

  'the facts of an unadopted repository are read by nobody, and are there once it is adopted': async (facts) => {
    const id = await filled(facts)
    const read = async () => [
      await facts.read.manifests.find(alpine, digestFor('m')),
      await facts.read.manifests.findTagged(alpine, tagOf('v1')),
      await facts.read.blobs.sizeIn(alpine, one),
      (await facts.read.blobs.holders(one, 10))[0],
      (
        await facts.read.manifests.referrers(alpine, digestFor('m'), {
          after: '',
          limit: 10,
          bytes: 1e6,
          artifactTypes: [],
        })
      ).entries[0],
    ]
    assert.ok((await read()).every((answer) => answer !== undefined))
    await facts.write((changed) => changed.adoption.setState(id, 'unadopted'))
    assert.deepEqual(await read(), [undefined, undefined, undefined, undefined, undefined])
    await facts.write((changed) => changed.adoption.setState(id, 'adopted'))
    assert.ok((await read()).every((answer) => answer !== undefined))
  },

  'storage becomes the truth of every repository again, of deleted ones too': async (facts) => {
    const id = await filled(facts)
    await inRepository(facts, busybox, (changed, other) => changed.adoption.markAbsent(other, 5))
    assert.equal(await facts.read.repositories.find(busybox), undefined)
    await facts.write((changed) => changed.adoption.unadoptAll())
    assert.deepEqual(await namesIn(facts, 'unadopted'), [alpine, busybox])
    assert.deepEqual(await facts.read.adoption.counts(), { unadopted: 2, adopted: 0 })
    const absent = await idOf(facts, busybox)
    await facts.write((changed) => changed.adoption.markAbsent(absent, 9))
    assert.equal(await facts.read.repositories.find(busybox), undefined)
    assert.deepEqual(await facts.read.adoption.counts(), { unadopted: 1, adopted: 0 })
    assert.equal(await idOf(facts), id)
  },

  'the facts of a repository are cleared in portions, and those of others stay': async (facts) => {
    const id = await filled(facts)
    await inRepository(facts, alpine, async (changed) => {
      for (let n = 0; n < 25; n++) {
        await changed.tags.set(id, tagOf(`t${n}`), digestFor('m'), 1)
        await changed.manifests.put(id, manifestOf(`n${n}`, { references: [one, two, three] }), 1)
        await changed.blobs.link(id, digestFor(`layer ${n}`), 1)
      }
    })
    await inRepository(facts, busybox, async (changed, other) => {
      await changed.blobs.link(other, one, 1)
      await changed.manifests.put(other, manifestOf('m', { references: [one] }), 1)
      await changed.tags.set(other, tagOf('v1'), digestFor('m'), 1)
    })
    let turns = 1
    while (!(await facts.write((changed) => changed.adoption.clear(id, 20)))) turns++
    assert.ok(turns >= 8, `${turns} portions`)
    assert.deepEqual(await facts.read.tags.page(id, '', 10), [])
    assert.deepEqual(await facts.read.adoption.layers(id, '', 10), [])
    assert.deepEqual(await facts.read.adoption.revisions(id, '', 10), [])
    assert.deepEqual(await facts.read.adoption.history(id, { tag: '', digest: '' }, 10), [])
    assert.deepEqual(await facts.read.manifests.references(id, digestFor('m')), [])
    assert.equal(await facts.write((changed) => changed.adoption.clear(id, 20)), true)
    const other = await idOf(facts, busybox)
    assert.deepEqual(await facts.read.tags.history(other, tagOf('v1')), [digestFor('m')])
    assert.deepEqual(await facts.read.manifests.references(other, digestFor('m')), [one])
    assert.deepEqual(await facts.read.adoption.layers(other, '', 10), [one])
    assert.ok(await facts.read.manifests.findTagged(busybox, tagOf('v1')))
  },

  'a link found in storage is as old as its last use, never younger than what is known': async (facts) => {
    await inRepository(facts, alpine, async (changed, id) => {
      await changed.blobs.add(one, 3, 100)
      for (const touchedAt of [50, 70, 60]) await changed.adoption.link(id, one, touchedAt)
    })
    assert.equal((await facts.read.blobs.sizeIn(alpine, one))?.touchedAt, 70)
  },

  'digests that a tag once pointed to are remembered without moving it': async (facts) => {
    const id = await inRepository(facts, alpine, async (changed, repository) => {
      await changed.tags.set(repository, tagOf('v1'), one, 1)
      for (const digest of [two, two, one]) await changed.adoption.remember(repository, tagOf('v1'), digest)
      return repository
    })
    assert.equal(await facts.read.tags.digest(id, tagOf('v1')), one)
    assert.deepEqual(sorted(await facts.read.tags.history(id, tagOf('v1'))), sorted([one, two]))
  },

  'every linked blob that no manifest refers to is to be reviewed': async (facts) => {
    const review = { kind: 'blob', repositoryId: 0, reason: 'unknown' } as const
    const id = await inRepository(facts, alpine, async (changed, repository) => {
      for (const text of ['one', 'two', 'three', 'm', 'asked']) await changed.blobs.link(repository, digestFor(text), 1)
      await changed.manifests.put(repository, manifestOf('m', { references: [one] }), 1)
      await changed.reviews.add({ ...review, digest: digestFor('asked'), due: 5, reason: 'deleted' })
      const other = await changed.repositories.ensure(busybox, 1)
      await changed.manifests.put(other.id, manifestOf('m', { references: [two] }), 1)
      await changed.blobs.link(other.id, digestFor('elsewhere'), 1)
      return repository
    })
    await facts.write((changed) => changed.adoption.reviewUnreferenced(id, 40))
    assert.deepEqual(await facts.read.reviews.due(100, undefined, 10), [
      { ...review, digest: digestFor('asked'), due: 5, reason: 'deleted' },
      ...sorted([two, three]).map((digest) => ({ ...review, digest, due: 40 })),
    ])
  },

  'all that link files say is walked in pages': async (facts) => {
    const blobs = sorted([one, two, three])
    const past = sorted(mixedCase).flatMap((tag) => sorted([one, two]).map((digest) => ({ tag, digest })))
    const id = await inRepository(facts, alpine, async (changed, repository) => {
      for (const digest of blobs) await changed.blobs.link(repository, digest, 1)
      for (const text of ['m', 'n']) await changed.manifests.put(repository, manifestOf(text), 1)
      for (const { tag, digest } of [...past].reverse()) await changed.adoption.remember(repository, tagOf(tag), digest)
      return repository
    })
    const { layers, revisions, history } = facts.read.adoption
    assert.deepEqual(await layers(id, '', 2), blobs.slice(0, 2))
    assert.deepEqual(await layers(id, blobs[1]!, 2), blobs.slice(2))
    const manifests = sorted(['m', 'n'].map(digestFor))
    assert.deepEqual(await revisions(id, manifests[0]!, 2), [
      { digest: manifests[1], mediaType: mediaTypes.imageManifest },
    ])
    const seen: PastTagPlace[] = []
    for (let after: PastTagPlace | undefined = { tag: '', digest: '' }; after; ) {
      const page: PastTagPlace[] = await history(id, after, 5)
      seen.push(...page)
      after = page.at(-1)
    }
    assert.deepEqual(seen, past)
  },
}
