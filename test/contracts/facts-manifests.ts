import assert from 'node:assert/strict'
import type { Facts, ReferrerRow } from '../../metadata/facts.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import type { FactsCase } from './facts.ts'
import { digestFor, inRepository, manifestOf, nameOf, plain, rowOf, sorted, tagOf } from './facts-tools.ts'

const [alpine, busybox] = [nameOf('library/alpine'), nameOf('library/busybox')]
const subject = digestFor('subject')

const anything = { after: '', limit: 100, bytes: 1e9, artifactTypes: [] }

async function referrersPage(facts: Facts, more: { readonly after: string; readonly limit: number }) {
  const { entries, next } = await facts.read.manifests.referrers(alpine, subject, { ...anything, ...more })
  return { digests: entries.map((row) => row.digest), next }
}

export const manifestCases: Readonly<Record<string, FactsCase>> = {
  'a manifest is found by digest and by tag, in its repository': async (facts) => {
    await inRepository(facts, alpine, async (changed, id) => {
      await changed.manifests.put(id, manifestOf('m'), 1)
      await changed.tags.set(id, tagOf('v1'), digestFor('m'), 1)
      await changed.tags.set(id, tagOf('dangling'), digestFor('nothing'), 1)
    })
    const { manifests } = facts.read
    assert.deepEqual(plain(await manifests.find(alpine, digestFor('m'))), rowOf('m'))
    assert.deepEqual(plain(await manifests.findTagged(alpine, tagOf('v1'))), rowOf('m'))
    assert.equal(await manifests.find(alpine, digestFor('other')), undefined)
    assert.equal(await manifests.findTagged(alpine, tagOf('v2')), undefined)
    assert.equal(await manifests.findTagged(alpine, tagOf('dangling')), undefined)
    assert.equal(await manifests.find(busybox, digestFor('m')), undefined)
    assert.equal(await manifests.findTagged(busybox, tagOf('v1')), undefined)
  },

  'a manifest that is put again takes its new media type': async (facts) => {
    await inRepository(facts, alpine, async (changed, id) => {
      await changed.manifests.put(id, manifestOf('m'), 1)
      await changed.manifests.put(id, manifestOf('m', { mediaType: mediaTypes.dockerManifest }), 2)
    })
    const found = await facts.read.manifests.find(alpine, digestFor('m'))
    assert.equal(found?.mediaType, mediaTypes.dockerManifest)
  },

  'a manifest names its parents, in one repository and up to a limit': async (facts) => {
    const child = digestFor('child')
    const parents = ['p1', 'p2', 'p3']
    const { id } = await facts.write((changed) => changed.repositories.ensure(alpine, 1))
    await facts.write(async (changed) => {
      for (const parent of parents)
        await changed.manifests.put(id, manifestOf(parent, { references: [child, child] }), 1)
    })
    await inRepository(facts, busybox, async (changed, other) => {
      await changed.manifests.put(other, manifestOf('p4', { references: [child] }), 1)
    })
    const found = await facts.read.manifests.parents(id, child, 10)
    assert.deepEqual(sorted(found), sorted(parents.map(digestFor)))
    assert.equal((await facts.read.manifests.parents(id, child, 2)).length, 2)
    assert.deepEqual(await facts.read.manifests.parents(id, digestFor('orphan'), 10), [])
  },

  'a deleted manifest is gone with its references': async (facts) => {
    const child = digestFor('child')
    const { id } = await facts.write((changed) => changed.repositories.ensure(alpine, 1))
    await facts.write((changed) => changed.manifests.put(id, manifestOf('m', { references: [child] }), 1))
    assert.equal(await facts.write((changed) => changed.manifests.delete(id, digestFor('m'))), true)
    assert.equal(await facts.write((changed) => changed.manifests.delete(id, digestFor('m'))), false)
    assert.equal(await facts.read.manifests.find(alpine, digestFor('m')), undefined)
    assert.deepEqual(await facts.read.manifests.parents(id, child, 10), [])
  },

  'a manifest may name more than a statement has parameters for': async (facts) => {
    const references = Array.from({ length: 3001 }, (_, n) => digestFor(`layer ${n}`))
    const { id } = await facts.write((changed) => changed.repositories.ensure(alpine, 1))
    await facts.write((changed) => changed.manifests.put(id, manifestOf('large', { references }), 1))
    for (const reference of [references[0]!, references[3000]!]) {
      assert.deepEqual(await facts.read.manifests.parents(id, reference, 10), [digestFor('large')])
    }
  },

  'says which of many digests are manifests here': async (facts) => {
    const all = Array.from({ length: 1200 }, (_, n) => `m${n}`)
    const here = all.filter((_, n) => n % 5 === 0)
    const found = await inRepository(facts, alpine, async (changed, id) => {
      for (const text of here) await changed.manifests.put(id, manifestOf(text), 1)
      return changed.manifests.among(id, all.map(digestFor))
    })
    assert.deepEqual(sorted(found), sorted(here.map(digestFor)))
  },

  'referrers are listed by digest, a page at a time': async (facts) => {
    const texts = ['r1', 'r2', 'r3', 'r4', 'r5']
    await inRepository(facts, alpine, async (changed, id) => {
      for (const text of texts) await changed.manifests.put(id, manifestOf(text, { subject }), 1)
      await changed.manifests.put(id, manifestOf('of another', { subject: digestFor('another') }), 1)
      await changed.manifests.put(id, manifestOf('of nothing'), 1)
    })
    const all = sorted(texts.map(digestFor))
    assert.deepEqual(await referrersPage(facts, { after: '', limit: 100 }), { digests: all, next: undefined })
    assert.deepEqual(await referrersPage(facts, { after: '', limit: 2 }), { digests: all.slice(0, 2), next: all[1] })
    assert.deepEqual(await referrersPage(facts, { after: all[1]!, limit: 2 }), {
      digests: all.slice(2, 4),
      next: all[3],
    })
    assert.deepEqual(await referrersPage(facts, { after: all[2]!, limit: 2 }), {
      digests: all.slice(3),
      next: undefined,
    })
    assert.deepEqual(await referrersPage(facts, { after: all[4]!, limit: 2 }), { digests: [], next: undefined })
    assert.deepEqual((await facts.read.manifests.referrers(busybox, subject, anything)).entries, [])
  },

  'a page of referrers ends before its JSON is longer than asked for, whatever stands in it': async (facts) => {
    const letters = ['x', 'é', '😀', '"', '\n', '\u0000', '\ud800']
    const parts = letters.flatMap((letter) => [
      { artifactType: letter.repeat(2000) },
      { artifactType: 'a/b', annotations: { [letter.repeat(500)]: letter.repeat(1500) } },
    ])
    await inRepository(facts, alpine, async (changed, id) => {
      for (const [n, part] of parts.entries()) {
        await changed.manifests.put(id, manifestOf(`r${n}`, { subject, ...part }), 1)
      }
    })
    const seen: string[] = []
    for (let after: string | undefined = ''; after !== undefined; ) {
      const wanted = { ...anything, after, bytes: 20_000 }
      const { entries, next } = await facts.read.manifests.referrers(alpine, subject, wanted)
      assert.ok(entries.length === 1 || Buffer.byteLength(JSON.stringify(entries)) < 20_000)
      seen.push(...entries.map((row) => row.digest))
      after = next
    }
    assert.deepEqual(seen, sorted(parts.map((_, n) => digestFor(`r${n}`))))
    const least = await facts.read.manifests.referrers(alpine, subject, { ...anything, bytes: 1 })
    assert.equal(least.entries.length, 1)
  },

  'a manifest loses all its tags at once, and others keep theirs': async (facts) => {
    const [one, two] = [digestFor('one'), digestFor('two')]
    const { id } = await facts.write((changed) => changed.repositories.ensure(alpine, 1))
    const past = await facts.write(async (changed) => {
      for (const [tag, digest] of [
        ['a', two],
        ['a', one],
        ['b', one],
        ['c', one],
        ['c', two],
      ] as const) {
        await changed.tags.set(id, tagOf(tag), digest, 1)
      }
      return changed.manifests.untag(id, one)
    })
    const lost = [
      { tag: 'a', digest: one },
      { tag: 'a', digest: two },
      { tag: 'b', digest: one },
      { tag: 'c', digest: one },
    ]
    assert.deepEqual(
      sorted(past.map((row) => `${row.tag} ${row.digest}`)),
      sorted(lost.map((row) => `${row.tag} ${row.digest}`)),
    )
    assert.deepEqual(await facts.read.tags.page(id, '', 10), ['c'])
    assert.deepEqual(await facts.read.tags.history(id, tagOf('a')), [])
    assert.deepEqual(await facts.read.tags.history(id, tagOf('c')), [two], 'a link to it would lead to nothing')
    assert.deepEqual(await facts.write((changed) => changed.manifests.untag(id, digestFor('none'))), [])
  },

  'referrers keep artifact type and annotations, and are chosen by type': async (facts) => {
    const sbom = manifestOf('sbom', { subject, artifactType: 'a/sbom', annotations: { key: 'välue "quoted"' } })
    const signature = manifestOf('signature', { subject, artifactType: 'a/sig' })
    const untyped = manifestOf('untyped', { subject })
    await inRepository(facts, alpine, async (changed, id) => {
      for (const each of [sbom, signature, untyped]) await changed.manifests.put(id, each, 1)
    })
    const chosen = async (...artifactTypes: string[]): Promise<readonly ReferrerRow[]> =>
      (await facts.read.manifests.referrers(alpine, subject, { ...anything, artifactTypes })).entries
    assert.deepEqual(await chosen('a/sbom'), [
      { ...rowOf('sbom'), artifactType: 'a/sbom', annotations: { key: 'välue "quoted"' } },
    ])
    assert.deepEqual(
      sorted((await chosen('a/sbom', 'a/sig')).map((row) => row.digest)),
      sorted([sbom.digest, signature.digest]),
    )
    assert.deepEqual(await chosen('a/none'), [])
    assert.deepEqual(
      (await chosen()).find((row) => row.digest === untyped.digest),
      rowOf('untyped'),
    )
  },
}
