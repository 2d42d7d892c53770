import assert from 'node:assert/strict'
import { newUploadId } from '../../oci/name.ts'
import type { FactsCase } from './facts.ts'
import { digestFor, inRepository, manifestOf, nameOf, sorted } from './facts-tools.ts'

const alpine = nameOf('library/alpine')
const [one, subject] = [digestFor('one'), digestFor('subject')]

/** What clients may send, or a volume hold, as text. */
const texts = [
  '',
  '\u0000',
  'a\u0000b',
  '\u0001',
  '\u00010',
  '\u0001\u0000\u00011',
  '\u007f\u0080',
  'ä',
  'e\u0301',
  '\u202e',
  '\ufffe\uffff',
  '😀',
  '\\',
  "'; --",
  '%_!',
  '\ud800',
]
/** No database keeps half of a pair: it becomes a replacement character. */
const kept = texts.map((text) => text.toWellFormed())

export const textCases: Readonly<Record<string, FactsCase>> = {
  'a manifest keeps every text that was pushed with it': async (facts) => {
    await inRepository(facts, alpine, async (changed, id) => {
      for (const [n, text] of texts.entries()) {
        const more = { subject, artifactType: text, annotations: { [text]: text }, mediaType: `a/${text}` }
        await changed.manifests.put(id, manifestOf(`r${n}`, more), 1)
      }
    })
    const wanted = { after: '', limit: 100, bytes: 1e9 }
    const { entries } = await facts.read.manifests.referrers(alpine, subject, { ...wanted, artifactTypes: [] })
    assert.deepEqual(sorted(entries.map((row) => row.artifactType!)), sorted(kept))
    for (const [n, text] of texts.entries()) {
      const chosen = await facts.read.manifests.referrers(alpine, subject, { ...wanted, artifactTypes: [text] })
      const row = chosen.entries.find((each) => each.digest === digestFor(`r${n}`))
      assert.equal(row?.artifactType, kept[n])
      assert.deepEqual(row?.annotations, { [text]: text })
      assert.equal((await facts.read.manifests.find(alpine, digestFor(`r${n}`)))?.mediaType, `a/${kept[n]}`)
    }
  },

  'whatever somebody asks for by name is an answer': async (facts) => {
    const id = await inRepository(facts, alpine, async (_, repository) => repository)
    for (const text of texts) {
      assert.deepEqual(await facts.read.tags.page(id, `zz${text}`, 10), [])
      assert.deepEqual(await facts.read.repositories.page(`zz${text}`, 10), [])
      assert.deepEqual(await facts.read.repositories.search(`${text}zz`, 10), [])
      assert.deepEqual(await facts.read.adoption.layers(id, `zz${text}`, 10), [])
      assert.deepEqual(await facts.read.adoption.history(id, { tag: `zz${text}`, digest: text }, 10), [])
      assert.deepEqual([...(await facts.read.blobs.linkedAmong(id, [text]))], [])
    }
  },

  'what is kept about uploads, trash, damage and the store is read back as it was': async (facts) => {
    const id = await inRepository(facts, alpine, async (_, repository) => repository)
    for (const [n, text] of texts.entries()) {
      const upload = { id: newUploadId(), repository: alpine, state: 'receiving', algorithm: 'sha256' } as const
      const deleted = { id: upload.id, repositoryId: id, kind: 'manifest', digest: one, tags: [] } as const
      await facts.write(async (changed) => {
        await changed.uploads.add({ ...upload, identity: text, stage: text, version: 0, updatedAt: 1 })
        await changed.trash.add({ ...deleted, mediaType: text, reason: text, deletedAt: 1, deletedBy: text }, [one])
        await changed.damages.add({ key: `k${text}`, kind: 'stray', repository: '', detail: text, foundAt: n })
        await changed.store.set(`k${text}`, text)
      })
      const { identity, stage } = (await facts.read.uploads.find(upload.id))!
      const { mediaType, reason, deletedBy } = (await facts.read.trash.find(upload.id))!
      const whole = kept[n]
      assert.deepEqual([identity, stage, mediaType, reason, deletedBy], Array(5).fill(whole))
      assert.equal(await facts.read.store.get(`k${text}`), whole)
    }
    const damages = await facts.read.damages.page('', 100)
    assert.deepEqual(
      damages.map(({ key, detail }) => [key, detail]),
      inByteOrder(kept).map((text) => [`k${text}`, text]),
    )
    await facts.write(async (changed) => {
      for (const text of texts) await changed.damages.remove(`k${text}`)
    })
    assert.equal(await facts.read.damages.count(), 0)
  },
}

const inByteOrder = (all: readonly string[]) => [...all].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
