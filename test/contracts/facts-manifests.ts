import assert from 'node:assert/strict'
import type { ReferrerRow } from '../../metadata/facts.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import type { FactsCase } from './facts.ts'
import { digestFor, inRepository, manifestOf, nameOf, plain, rowOf, sorted, tagOf } from './facts-tools.ts'

const [alpine, busybox] = [nameOf('library/alpine'), nameOf('library/busybox')]
const subject = digestFor('subject')

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
    const page = async (after: string, limit: number) =>
      (await facts.read.manifests.referrers(alpine, subject, after, limit, [])).map((row) => row.digest)
    const all = sorted(texts.map(digestFor))
    assert.deepEqual(await page('', 100), all)
    assert.deepEqual(await page('', 2), all.slice(0, 2))
    assert.deepEqual(await page(all[1]!, 2), all.slice(2, 4))
    assert.deepEqual(await page(all[4]!, 2), [])
    assert.deepEqual(await facts.read.manifests.referrers(busybox, subject, '', 10, []), [])
  },

  'referrers keep artifact type and annotations, and are chosen by type': async (facts) => {
    const sbom = manifestOf('sbom', { subject, artifactType: 'a/sbom', annotations: { key: 'välue "quoted"' } })
    const signature = manifestOf('signature', { subject, artifactType: 'a/sig' })
    const untyped = manifestOf('untyped', { subject })
    await inRepository(facts, alpine, async (changed, id) => {
      for (const each of [sbom, signature, untyped]) await changed.manifests.put(id, each, 1)
    })
    const chosen = async (...types: string[]): Promise<ReferrerRow[]> =>
      facts.read.manifests.referrers(alpine, subject, '', 10, types)
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
