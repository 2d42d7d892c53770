import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { newUploadId, parseRepositoryName, parseTag, parseUploadId } from '../../oci/name.ts'
import { looksLikeDigest, parseReference, referenceText } from '../../oci/reference.ts'
import { digestFor, tagOf } from '../contracts/facts-tools.ts'

const word = fc.stringMatching(/^[a-z0-9]{1,8}$/)
const separator = fc.oneof(fc.constantFrom('.', '_', '__'), fc.stringMatching(/^-{1,4}$/))
const component = fc
  .tuple(word, fc.array(fc.tuple(separator, word), { maxLength: 3 }))
  .map(([first, rest]) => first + rest.map(([between, next]) => between + next).join(''))
const repositoryName = fc.array(component, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'))

describe('a repository name', () => {
  test('of the grammar is taken as it is', () => {
    fc.assert(
      fc.property(repositoryName, (name) => {
        assert.equal(parseRepositoryName(name), name.length <= 255 ? name : undefined)
      }),
    )
  })

  test('with one wrong character anywhere is refused', () => {
    const wrong = fc.constantFrom('A', ' ', '%', '\\', '\n', '\0', ':', '@', '~', 'é', '//', '/./', '/../', '..', '___')
    fc.assert(
      fc.property(repositoryName, wrong, fc.nat(), (name, bad, at) => {
        const place = at % (name.length + 1)
        assert.equal(parseRepositoryName(name.slice(0, place) + bad + name.slice(place)), undefined)
      }),
    )
  })

  test('that is no name is refused', () => {
    const none = [
      '',
      '/',
      'a/',
      '/a',
      '-a',
      'a-',
      '.a',
      'a.',
      '_a',
      'a_',
      '_catalog',
      'a/_layers',
      'a..b',
      'a._b',
      'a\n',
    ]
    for (const name of none) assert.equal(parseRepositoryName(name), undefined, JSON.stringify(name))
  })

  test('ends at 255 characters, and a hostile one is refused at once', () => {
    assert.ok(parseRepositoryName('a'.repeat(255)))
    assert.equal(parseRepositoryName('a'.repeat(256)), undefined)
    for (const hostile of ['a-'.repeat(127), `${'-'.repeat(254)}!`, `a${'-'.repeat(253)}!`, 'a__'.repeat(85)]) {
      assert.equal(parseRepositoryName(hostile), undefined)
    }
  })
})

describe('a tag', () => {
  test('is taken exactly where the specification takes it', () => {
    const alphabet = fc.constantFrom(...'aZ09_.-', '/', ':', ' ', '+', 'é', '\n')
    fc.assert(
      fc.property(fc.string({ unit: alphabet, maxLength: 140 }), (text) => {
        const good = text.length >= 1 && text.length <= 128 && /^\w/.test(text) && !/[^\w.-]/.test(text)
        assert.equal(parseTag(text), good ? text : undefined)
      }),
    )
  })

  test('ends at 128 characters', () => {
    assert.ok(parseTag('t'.repeat(128)))
    assert.equal(parseTag('t'.repeat(129)), undefined)
    assert.equal(parseTag(''), undefined)
  })
})

describe('an upload id', () => {
  test('that was given out is taken back', () => {
    const ids = Array.from({ length: 100 }, newUploadId)
    for (const id of ids) assert.equal(parseUploadId(id), id)
    assert.equal(new Set(ids).size, 100)
  })

  test('of any other shape is refused', () => {
    for (const text of [
      '',
      '..',
      'A'.repeat(36),
      `${newUploadId()}/`,
      newUploadId().toUpperCase(),
      `${newUploadId()}\n`,
    ]) {
      if (/[A-Z]|\/|\n|^\.|^$/.test(text)) assert.equal(parseUploadId(text), undefined)
    }
  })
})

describe('a reference', () => {
  test('is a tag, or a digest where it holds a colon', () => {
    assert.deepEqual(parseReference('latest'), { tag: 'latest' })
    const digest = digestFor('x')
    assert.deepEqual(parseReference(digest), { digest })
    for (const text of ['', 'a b', 'sha256:abc', 'md5:d41d8cd98f00b204e9800998ecf8427e', ':', `${digest}x`]) {
      assert.equal(parseReference(text), undefined, text)
    }
    assert.equal(looksLikeDigest('sha256:abc'), true)
  })

  test('is written as it was read', () => {
    assert.equal(referenceText({ tag: tagOf('v1') }), 'v1')
    assert.equal(referenceText({ digest: digestFor('x') }), digestFor('x'))
  })
})
