import assert from 'node:assert/strict'
import type { UploadChange, UploadRow } from '../../metadata/facts.ts'
import { newUploadId } from '../../oci/name.ts'
import type { FactsCase } from './facts.ts'
import { digestFor, mixedCase, nameOf, plain, sorted } from './facts-tools.ts'

const one = digestFor('one')

function upload(more: Partial<UploadRow> = {}): UploadRow {
  const [id, repository] = [newUploadId(), nameOf('library/alpine')]
  return {
    id,
    repository,
    state: 'receiving',
    stage: '{"size":0}',
    algorithm: 'sha256',
    version: 0,
    updatedAt: 10,
    ...more,
  }
}

/** Uploads on their way, and what storage is owed. */
export const workCases: Readonly<Record<string, FactsCase>> = {
  'an upload is read back as it was written': async (facts) => {
    const [bare, full] = [upload(), upload({ identity: 'ann', hashed: one, committing: one, algorithm: 'sha512' })]
    await facts.write(async (changed) => {
      for (const row of [bare, full]) await changed.uploads.add(row)
    })
    assert.deepEqual(await facts.read.uploads.find(bare.id), bare)
    assert.deepEqual(await facts.read.uploads.find(full.id), full)
    assert.equal(await facts.read.uploads.find(newUploadId()), undefined)
    assert.equal(await facts.write((changed) => changed.uploads.remove(bare.id)), true)
    assert.equal(await facts.write((changed) => changed.uploads.remove(bare.id)), false)
    assert.equal(await facts.read.uploads.find(bare.id), undefined)
  },

  'an upload is changed by whoever knows its version, and every change raises it': async (facts) => {
    const row = upload()
    const { version: _, ...rest } = row
    await facts.write((changed) => changed.uploads.add(row))
    const change = (version: number, asked: UploadChange) =>
      facts.write((changed) => changed.uploads.change(row.id, version, asked))
    assert.equal(await change(0, { stage: '{"size":5}', hashed: one, updatedAt: 20 }), true)
    assert.equal(await change(0, { stage: '{"size":9}', updatedAt: 21 }), false, 'somebody was faster')
    assert.equal(await change(2, { stage: '{"size":9}', updatedAt: 21 }), false, 'nobody has been there yet')
    const grown = { ...rest, stage: '{"size":5}', hashed: one, version: 1, updatedAt: 20 }
    assert.deepEqual(await facts.read.uploads.find(row.id), grown)
    assert.equal(await facts.write((changed) => changed.uploads.change(newUploadId(), 0, { updatedAt: 1 })), false)
  },

  'a change of an upload keeps what it leaves out, and clears what it says is unknown': async (facts) => {
    const row = upload({ hashed: one })
    await facts.write((changed) => changed.uploads.add(row))
    const after = async (asked: UploadChange) => {
      const { version } = (await facts.read.uploads.find(row.id))!
      assert.equal(await facts.write((changed) => changed.uploads.change(row.id, version, asked)), true)
      const { state, stage, hashed, committing, updatedAt } = (await facts.read.uploads.find(row.id))!
      return { state, stage, hashed, committing, updatedAt }
    }
    const known = { state: 'receiving', stage: row.stage, hashed: one, committing: undefined, updatedAt: 20 }
    assert.deepEqual(await after({ updatedAt: 20 }), known)
    const named = { ...known, state: 'committing', committing: one, updatedAt: 30 }
    assert.deepEqual(await after({ state: 'committing', committing: one, updatedAt: 30 }), named)
    assert.deepEqual(await after({ hashed: undefined, updatedAt: 40 }), { ...named, hashed: undefined, updatedAt: 40 })
    const cleared = { ...known, stage: '', hashed: one, updatedAt: 50 }
    const asked = { state: 'receiving', stage: '', hashed: one, committing: undefined, updatedAt: 50 } as const
    assert.deepEqual(await after(asked), cleared)
  },

  'an upload that was changed meanwhile is not removed by who knows its old version': async (facts) => {
    const row = upload()
    await facts.write(async (changed) => {
      await changed.uploads.add(row)
      await changed.uploads.change(row.id, 0, { updatedAt: 20 })
    })
    const remove = (version?: number) => facts.write((changed) => changed.uploads.remove(row.id, version))
    assert.equal(await remove(0), false)
    assert.equal((await facts.read.uploads.find(row.id))?.version, 1)
    assert.equal(await remove(1), true)
    assert.equal(await remove(1), false)
  },

  'hashes of uploads under way are forgotten without disturbing who writes them': async (facts) => {
    const rows = (['receiving', 'committing'] as const).map((state) => upload({ state, hashed: one, version: 4 }))
    await facts.write(async (changed) => {
      for (const row of rows) await changed.uploads.add(row)
      await changed.uploads.forgetHashes()
    })
    const [receiving, committing] = await Promise.all(rows.map((row) => facts.read.uploads.find(row.id)))
    assert.deepEqual([receiving?.hashed, receiving?.version], [undefined, 4])
    assert.equal(committing?.hashed, one)
  },

  'idle uploads are listed by state, oldest first': async (facts) => {
    const rows = [30, 10, 20, 40].map((updatedAt) => upload({ updatedAt }))
    const committing = upload({ updatedAt: 5, state: 'committing', committing: one })
    await facts.write(async (changed) => {
      for (const row of [...rows, committing]) await changed.uploads.add(row)
    })
    const ages = async (before: number, limit = 10) =>
      (await facts.read.uploads.idle('receiving', before, limit)).map((row) => row.updatedAt)
    assert.deepEqual(await ages(40), [10, 20, 30])
    assert.deepEqual(await ages(41, 2), [10, 20])
    assert.deepEqual(await ages(10), [])
    assert.deepEqual(await facts.read.uploads.idle('committing', Number.MAX_SAFE_INTEGER, 10), [committing])
    assert.deepEqual(await facts.read.uploads.idle('finished', Number.MAX_SAFE_INTEGER, 10), [])
  },

  'a key is owed once, under its newest version': async (facts) => {
    const { owed } = facts.read
    assert.equal(await owed.find('key'), undefined)
    await facts.write((changed) => changed.owed.add('key', 7, 1))
    await facts.write((changed) => changed.owed.add('key', 2 ** 47 - 1, 2))
    assert.deepEqual(plain(await owed.find('key')), { key: 'key', version: 2 ** 47 - 1 })
    assert.equal(await owed.count(), 1)
  },

  'a key that is owed anew is not cleared by its old version': async (facts) => {
    await facts.write((changed) => changed.owed.add('key', 1, 1))
    await facts.write((changed) => changed.owed.add('key', 2, 1))
    await facts.write((changed) => changed.owed.clear({ key: 'key', version: 1 }))
    assert.equal((await facts.read.owed.find('key'))?.version, 2)
    await facts.write((changed) => changed.owed.clear({ key: 'key', version: 2 }))
    await facts.write((changed) => changed.owed.clear({ key: 'key', version: 2 }))
    assert.equal(await facts.read.owed.count(), 0)
  },

  'what is owed is paged in byte order': async (facts) => {
    await facts.write(async (changed) => {
      for (const [version, key] of [...mixedCase].reverse().entries()) await changed.owed.add(key, version, 1)
    })
    const page = async (after: string, limit: number) =>
      (await facts.read.owed.page(after, limit)).map(({ key }) => key)
    assert.deepEqual(await page('', 100), sorted(mixedCase))
    assert.deepEqual(await page('Z', 2), sorted(mixedCase).slice(3, 5))
    assert.deepEqual(await page('z', 2), [])
    assert.equal(await facts.read.owed.count(), mixedCase.length)
  },
}
