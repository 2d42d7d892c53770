import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parseCredentials } from '../../server/credentials.ts'

const encode = (text: string | Buffer): string => Buffer.from(text).toString('base64')

describe('credentials', () => {
  test('are none without a header', () => {
    assert.deepEqual(parseCredentials(undefined), { scheme: 'none' })
    assert.deepEqual(parseCredentials(''), { scheme: 'none' })
  })

  test('are none where a client sends an empty user and an empty password', () => {
    assert.deepEqual(parseCredentials(`Basic ${encode(':')}`), { scheme: 'none' })
  })

  test('are read from Basic and Bearer in any case', () => {
    for (const scheme of ['Basic', 'basic', 'BASIC']) {
      assert.deepEqual(parseCredentials(`${scheme} ${encode('alice:a:b')}`), {
        scheme: 'basic',
        username: 'alice',
        password: 'a:b',
      })
    }
    for (const scheme of ['Bearer', 'bearer']) {
      assert.deepEqual(parseCredentials(`${scheme} eyJh.eyJz.c2ln_-~+/==`), {
        scheme: 'bearer',
        token: 'eyJh.eyJz.c2ln_-~+/==',
      })
    }
  })

  test('keep every user and password that Basic can carry', () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is left out
    const text = fc.string({ unit: 'binary' }).filter((each) => !/[\u0000-\u001f\u007f]/.test(each))
    fc.assert(
      fc.property(
        text.filter((name) => name !== '' && !name.includes(':')),
        text,
        (username, password) => {
          const parsed = parseCredentials(`Basic ${encode(`${username}:${password}`)}`)
          assert.deepEqual(parsed, { scheme: 'basic', username, password })
        },
      ),
    )
  })

  test('that cannot be read are a user who cannot exist, never nobody', () => {
    const unreadable = [
      'Basic',
      'Basic !!!!',
      `Basic ${encode('no colon')}`,
      `Basic ${encode('alice:pass\0word')}`,
      `Basic ${encode('al\nice:password')}`,
      `Basic ${encode(Buffer.from([0x61, 0x3a, 0xff]))}`,
      `Basic ${encode('a:b')} ${encode('c:d')}`,
      'Bearer',
      'Bearer two words',
      'Bearer "quoted"',
      'Digest username="alice"',
      'garbage',
    ]
    for (const header of unreadable) {
      assert.deepEqual(parseCredentials(header), { scheme: 'basic', username: ':', password: '' }, header)
    }
  })
})
