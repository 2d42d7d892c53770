import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  algorithmOf,
  digestOf,
  emptyDigest,
  hexOf,
  isWellFormedDigest,
  parseAlgorithm,
  parseDigest,
  toDigest,
} from '../../oci/digest.ts'

/** Names that every object of JavaScript has. */
const inherited = ['constructor', 'toString', 'valueOf', '__proto__', 'hasOwnProperty']

describe('a digest', () => {
  test('is made of bytes, and taken apart again', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.constantFrom('sha256' as const, 'sha512' as const), (bytes, algorithm) => {
        const digest = digestOf(bytes, algorithm)
        assert.equal(parseDigest(digest), digest)
        assert.equal(isWellFormedDigest(digest), true)
        assert.equal(algorithmOf(digest), algorithm)
        assert.equal(hexOf(digest), createHash(algorithm).update(bytes).digest('hex'))
        assert.equal(toDigest(createHash(algorithm).update(bytes), algorithm), digest)
      }),
    )
  })

  test('of no bytes is the well-known one', () => {
    assert.equal(emptyDigest(), 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    assert.match(emptyDigest('sha512'), /^sha512:cf83e1357eefb8bd/)
  })

  test('that is cut, lengthened or changed in case is refused', () => {
    const digest = digestOf(Buffer.from('x'))
    const wrong = [
      digest.slice(0, -1),
      `${digest}0`,
      digest.toUpperCase(),
      digest.replace('sha256', 'SHA256'),
      digest.replace('sha256', 'sha512'),
      digest.replace(':', ''),
      digest.replace(/.$/, 'g'),
      ` ${digest}`,
      `${digest}\n`,
      `${digest}/../x`,
      '',
      ':',
      'sha256:',
    ]
    for (const text of wrong) {
      assert.equal(parseDigest(text), undefined, text)
      assert.equal(isWellFormedDigest(text) && text.startsWith('sha256:'), false, text)
    }
  })

  test('of an algorithm that is not hashed here is well formed, but no digest of ours', () => {
    for (const text of ['blake3:abcdef', 'sha384:00ff', 'multihash+base58:QmRZxt2b1FVZPNqd8hsiyk', 'a.b_c-d:x=_-']) {
      assert.equal(isWellFormedDigest(text), true, text)
      assert.equal(parseDigest(text), undefined, text)
    }
    for (const text of ['Blake3:ab', 'a..b:x', '+a:x', 'a:', 'a:b:c', 'a:b/c', `a:${'x'.repeat(520)}`]) {
      assert.equal(isWellFormedDigest(text), false, text)
    }
  })

  test('of an algorithm named like something that every object has is an unknown one', () => {
    assert.equal(isWellFormedDigest('constructor:abc'), true)
    for (const name of inherited) assert.equal(parseDigest(`${name}:abc`), undefined)
  })
})

describe('an algorithm', () => {
  test('is one that can be hashed, and nothing else', () => {
    assert.equal(parseAlgorithm('sha256'), 'sha256')
    assert.equal(parseAlgorithm('sha512'), 'sha512')
    for (const text of ['', 'sha1', 'md5', 'SHA256', ' sha256', ...inherited]) {
      assert.equal(parseAlgorithm(text), undefined, text)
    }
  })
})
