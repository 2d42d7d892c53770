import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Content, digestOf, freshContent, KIB, literalContent, MIB } from '../../bench/content.ts'

const SIZES = [32, 33, 4 * KIB, 20 * KIB, 32 * KIB + 32, 64 * KIB, MIB - 1, MIB, MIB + 32, 3 * MIB + 5]

test('content has the size and the digest that it names, plain and chunked', () => {
  for (const size of SIZES) {
    const content = freshContent(size)
    const plain = Buffer.concat([...content.plain()])
    assert.equal(plain.length, size)
    assert.equal(digestOf(plain), content.digest)
    assert.deepEqual(unframe(Buffer.concat([...content.chunked().parts])), plain)
  }
})

test('each content is another one', () => {
  const digests = Array.from({ length: 100 }, () => freshContent(4 * KIB).digest)
  assert.equal(new Set(digests).size, 100)
})

test('content knows its own bytes at any offset and no others', () => {
  for (const size of SIZES) {
    const content = freshContent(size)
    const plain = Buffer.concat([...content.plain()])
    for (const from of [0, 1, size - 32, size - 1, size >> 1]) {
      assert.equal(content.agrees(plain.subarray(from), from), true, `${size} from ${from}`)
    }
    assertRefuses(content, plain)
  }
})

test('literal content is what was given', () => {
  const content = literalContent(Buffer.from('{"a":1}'))
  assert.equal(content.agrees(Buffer.from('"a"'), 1), true)
  assert.equal(content.agrees(Buffer.from('"b"'), 1), false)
  assert.deepEqual(unframe(Buffer.concat([...content.chunked().parts])).toString(), '{"a":1}')
})

function assertRefuses(content: Content, plain: Buffer): void {
  for (const at of [0, content.size - 1]) {
    const other = Buffer.from(plain)
    other[at] = (other[at] ?? 0) ^ 1
    assert.equal(content.agrees(other, 0), false)
  }
  assert.equal(content.agrees(Buffer.concat([plain, Buffer.from('x')]), 0), false)
}

function unframe(framed: Buffer): Buffer {
  const parts: Buffer[] = []
  let at = 0
  for (;;) {
    const end = framed.indexOf('\r\n', at)
    const size = Number.parseInt(framed.toString('latin1', at, end), 16)
    if (size === 0) return Buffer.concat(parts)
    parts.push(framed.subarray(end + 2, end + 2 + size))
    at = end + 2 + size + 2
  }
}
