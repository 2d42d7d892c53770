/** What the table of failures makes of a failure, where the answer depends on its detail. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Failure } from '../../oci/failure.ts'
import { answerTo } from '../../server/failures.ts'
import { digestFor } from '../contracts/facts-tools.ts'

const answerToMissing = (count: number) => {
  const missing = Array.from({ length: count }, (_, n) => digestFor(`missing ${n}`))
  return { missing, errors: answerTo(new Failure('manifest-references-unknown', { missing })).body.errors }
}

describe('a manifest that refers to what is not here', () => {
  test('is answered with an entry for each digest', () => {
    for (const count of [1, 100]) {
      const { missing, errors } = answerToMissing(count)
      assert.deepEqual(
        errors.map(({ message, detail }) => ({ message, detail })),
        missing.map((digest) => ({ message: `this repository has no ${digest}`, detail: { digest } })),
      )
    }
  })

  test('is answered with a hundred digests at most, and how many more there are', () => {
    const { missing, errors } = answerToMissing(5000)
    assert.equal(errors.length, 100)
    assert.equal(errors[98]?.message, `this repository has no ${missing[98]}`)
    assert.equal(errors[99]?.message, `this repository has no ${missing[99]}, and 4900 more`)
    assert.deepEqual(errors[99]?.detail, { digest: missing[99] })
  })
})

describe('a method that is refused at the moment', () => {
  test('comes with those that are not', () => {
    for (const failure of [
      new Failure('content-in-use', { digest: digestFor('x'), by: [digestFor('y')] }),
      new Failure('deletion-disabled', {}),
      new Failure('read-only', {}),
    ]) {
      const { status, headers } = answerTo(failure)
      assert.deepEqual([status, headers], [405, { Allow: 'GET, HEAD' }], failure.failure)
    }
  })
})
