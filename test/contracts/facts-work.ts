import assert from 'node:assert/strict'
import type { UploadRow } from '../../metadata/facts.ts'
import { newUploadId } from '../../oci/name.ts'
import type { FactsCase } from './facts.ts'
import { digestFor, mixedCase, nameOf, plain, sorted } from './facts-tools.ts'

const one = digestFor('one')

function upload(more: Partial<UploadRow> = {}): UploadRow {
  const [id, repository] = [newUploadId(), nameOf('library/alpine')]
  return { id, repository, state: 'receiving', stage: '{"size":0}', algorithm: 'sha256', updatedAt: 10, ...more }
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

  'progress is recorded while an upload receives, and not after': async (facts) => {
    const row = upload()
    await facts.write((changed) => changed.uploads.add(row))
    const progress = (stage: string, hashed = one as UploadRow['hashed']) =>
      facts.write((changed) => changed.uploads.progress(row.id, stage, hashed, 20))
    assert.equal(await progress('{"size":5}'), true)
    assert.deepEqual(await facts.read.uploads.find(row.id), { ...row, stage: '{"size":5}', hashed: one, updatedAt: 20 })
    assert.equal(await facts.write((changed) => changed.uploads.progress(row.id, '{"size":7}', undefined, 21)), true)
    assert.equal((await facts.read.uploads.find(row.id))?.hashed, undefined)
    for (const state of ['committing', 'finished'] as const) {
      await facts.write((changed) => changed.uploads.setState(row.id, state, one, 30))
      assert.equal(await progress('{"size":9}'), false)
      const { stage, committing, updatedAt } = (await facts.read.uploads.find(row.id)) ?? {}
      assert.deepEqual({ stage, committing, updatedAt }, { stage: '{"size":7}', committing: one, updatedAt: 30 })
    }
    await facts.write((changed) => changed.uploads.setState(row.id, 'receiving', undefined, 40))
    assert.equal((await facts.read.uploads.find(row.id))?.committing, undefined)
    assert.equal(await facts.write((changed) => changed.uploads.progress(newUploadId(), '{}', undefined, 1)), false)
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
