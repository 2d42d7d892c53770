import assert from 'node:assert/strict'
import type { NewTrash, TrashRow } from '../../metadata/facts-upkeep.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import { newUploadId } from '../../oci/name.ts'
import type { FactsCase } from './facts.ts'
import { digestFor, inRepository, nameOf, sorted, tagOf } from './facts-tools.ts'

const alpine = nameOf('library/alpine')
const [one, two] = [digestFor('one'), digestFor('two')]

function entry(repositoryId: number, more: Partial<NewTrash> = {}): NewTrash {
  return {
    id: newUploadId(),
    repositoryId,
    kind: 'manifest',
    digest: one,
    mediaType: mediaTypes.imageManifest,
    tags: [tagOf('v1'), tagOf('latest')],
    reason: 'deleted by a client',
    deletedAt: 10,
    ...more,
  }
}

const named = (row: NewTrash): TrashRow => ({ ...row, repository: alpine })

/** What was deleted and can come back. */
export const trashCases: Readonly<Record<string, FactsCase>> = {
  'a trash entry is read back as it was written': async (facts) => {
    const [bare, full] = await inRepository(facts, alpine, async (changed, id) => {
      const rows = [entry(id, { tags: [] }), entry(id, { kind: 'tag', deletedBy: 'ann "the" admin' })] as const
      for (const row of rows) await changed.trash.add(row, [one])
      return rows
    })
    assert.deepEqual(await facts.read.trash.find(bare.id), named(bare))
    assert.deepEqual(await facts.read.trash.find(full.id), named(full))
    assert.equal(await facts.read.trash.find(newUploadId()), undefined)
    assert.equal(await facts.read.trash.count(), 2)
  },

  'a trash entry that is removed says what it kept, once': async (facts) => {
    const many = Array.from({ length: 1500 }, (_, n) => digestFor(`layer ${n}`))
    const [row, other] = await inRepository(facts, alpine, async (changed, id) => {
      const rows = [entry(id), entry(id)] as const
      await changed.trash.add(rows[0], [...many, many[0]!])
      await changed.trash.add(rows[1], [two])
      return rows
    })
    assert.deepEqual(sorted(await facts.read.trash.references(row.id)), sorted(many))
    assert.deepEqual(sorted(await facts.write((changed) => changed.trash.remove(row.id))), sorted(many))
    assert.deepEqual(await facts.read.trash.references(row.id), [])
    assert.deepEqual(await facts.write((changed) => changed.trash.remove(row.id)), [])
    assert.equal(await facts.read.trash.find(row.id), undefined)
    assert.deepEqual(await facts.read.trash.find(other.id), named(other))
  },

  'the trash of a digest is listed newest first, in its repository': async (facts) => {
    const [old, middle, recent] = await inRepository(facts, alpine, async (changed, id) => {
      const rows = [10, 20, 30].map((deletedAt) => entry(id, { deletedAt })) as [NewTrash, NewTrash, NewTrash]
      for (const row of [rows[1], rows[2], rows[0]]) await changed.trash.add(row, [one])
      await changed.trash.add(entry(id, { digest: two }), [two])
      const other = await changed.repositories.ensure(nameOf('other'), 1)
      await changed.trash.add(entry(other.id), [one])
      return rows
    })
    const found = await facts.read.trash.ofDigest(old.repositoryId, one)
    assert.deepEqual(found, [recent, middle, old].map(named))
  },

  'the trash is walked from the oldest entry, entries of one moment too': async (facts) => {
    const rows = await inRepository(facts, alpine, async (changed, id) => {
      const made = [10, 20, 20, 20, 30, 40].map((deletedAt) => entry(id, { deletedAt }))
      for (const row of [...made].reverse()) await changed.trash.add(row, [])
      return made
    })
    const order = sorted(rows.map((row) => `${row.deletedAt} ${row.id}`))
    const seen: string[] = []
    for (let after: TrashRow | undefined; ; ) {
      const page: TrashRow[] = await facts.read.trash.page(after, 40, 2)
      if (page.length === 0) break
      seen.push(...page.map((row) => `${row.deletedAt} ${row.id}`))
      after = page.at(-1)
    }
    assert.deepEqual(seen, order.slice(0, 5))
    assert.deepEqual(await facts.read.trash.page(undefined, 10, 10), [])
  },
}
