import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { lengthOf, parseChunkRange, parseRange } from '../../oci/range.ts'

/** Which positions a well-formed list of ranges names, found one by one. */
function positions(specs: readonly string[], size: number): Set<number> {
  const named = new Set<number>()
  for (const spec of specs) {
    const [from, to] = spec.split('-')
    for (let at = 0; at < size; at++) {
      if (from === '' ? at >= size - Number(to) : at >= Number(from) && (to === '' || at <= Number(to))) named.add(at)
    }
  }
  return named
}

const number = fc.nat(30)
const spec = fc.oneof(
  fc.tuple(number, number).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
  number.map((from) => `${from}-`),
  number.map((suffix) => `-${suffix}`),
)

describe('a Range header', () => {
  test('names exactly the bytes that it names one by one', () => {
    fc.assert(
      fc.property(fc.array(spec, { minLength: 1, maxLength: 5 }), fc.nat(25), (specs, size) => {
        const wanted = positions(specs, size)
        const found = parseRange(`bytes=${specs.join(',')}`, size)
        if (found.kind === 'unsatisfiable') return assert.equal(wanted.size, 0)
        // Ranges that overlap may be answered with the whole.
        if (found.kind === 'whole') return assert.ok(wanted.size > 0 && specs.length > 1)
        const given = found.ranges.flatMap((range) =>
          Array.from({ length: lengthOf(range) }, (_, index) => range.start + index),
        )
        assert.equal(new Set(given).size, given.length, 'no byte is sent twice')
        assert.deepEqual(new Set(given), wanted)
      }),
      { numRuns: 1000 },
    )
  })

  test('keeps the order that was asked for', () => {
    assert.deepEqual(parseRange('bytes=8-9, 0-1', 10), {
      kind: 'parts',
      ranges: [
        { start: 8, end: 9 },
        { start: 0, end: 1 },
      ],
    })
  })

  test('that is malformed, of another unit or of too many parts is ignored', () => {
    const many = Array.from({ length: 33 }, (_, n) => `${n * 2}-${n * 2}`).join(',')
    const ignored = [
      '',
      'bytes',
      'bytes=',
      'items=0-1',
      'bytes=a-b',
      'bytes=-',
      'bytes=1',
      'bytes=0-1;2-3',
      'bytes=0--1',
    ]
    for (const header of [...ignored, `bytes=${many}`, 'bytes=0-1,x', `bytes=${'9'.repeat(20)}-`]) {
      assert.deepEqual(parseRange(header, 100), { kind: 'whole' }, header)
    }
  })

  test('never fails and never leaves the content, whatever is sent', () => {
    const text = fc.string({ unit: fc.constantFrom(...'0123456789-,= bytes') })
    fc.assert(
      fc.property(text, fc.nat(100), (rest, size) => {
        const found = parseRange(`bytes=${rest}`, size)
        if (found.kind !== 'parts') return
        assert.ok(found.ranges.length > 0)
        for (const { start, end } of found.ranges) assert.ok(0 <= start && start <= end && end < size)
      }),
    )
  })

  test('that runs backwards or begins behind the end cannot be satisfied', () => {
    for (const header of ['bytes=500-0', 'bytes=100-', 'bytes=100-200', 'bytes=-0']) {
      assert.deepEqual(parseRange(header, 100), { kind: 'unsatisfiable' }, header)
    }
    assert.deepEqual(parseRange('bytes=0-', 0), { kind: 'unsatisfiable' })
  })
})

describe('the range of a chunk', () => {
  test('is read with and without its unit', () => {
    for (const header of ['5-9', ' 5-9 ', 'bytes 5-9/*', 'bytes=5-9', 'bytes 5-9/100']) {
      assert.deepEqual(parseChunkRange(header), { start: 5, end: 9 }, header)
    }
  })

  test('that is malformed or runs backwards is refused', () => {
    for (const header of ['', '5', '5-', '-9', '9-5', 'a-b', '5-9-10', '5 - 9', `0-${'9'.repeat(16)}`, 'items 0-1']) {
      assert.equal(parseChunkRange(header), undefined, header)
    }
  })
})
