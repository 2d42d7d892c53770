import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { clientAddressFrom, peersFrom } from '../../server/client-address.ts'

describe('the client address', () => {
  const address = clientAddressFrom(['10.0.0.0/8', '2001:db8::/32', '127.0.0.1'])

  test('is the peer where the peer is not trusted, whatever it claims', () => {
    assert.equal(address('192.0.2.1', '198.51.100.7'), '192.0.2.1')
    assert.equal(clientAddressFrom([])('127.0.0.1', '198.51.100.7'), '127.0.0.1')
  })

  test('is the first hop from the right that is not a proxy of ours', () => {
    assert.equal(address('10.0.0.1', '198.51.100.7'), '198.51.100.7')
    assert.equal(address('10.0.0.1', '1.1.1.1, 198.51.100.7, 10.9.9.9'), '198.51.100.7')
    assert.equal(address('2001:db8::1', ' 1.1.1.1 ,198.51.100.7,10.1.1.1 ,2001:db8::5'), '198.51.100.7')
  })

  test('is the leftmost hop where all are ours', () => {
    assert.equal(address('10.0.0.1', '10.0.0.3, 10.0.0.2'), '10.0.0.3')
  })

  test('is the last hop that could be read where one cannot', () => {
    assert.equal(address('10.0.0.1', '198.51.100.7, unknown'), '10.0.0.1')
    assert.equal(address('10.0.0.1', '198.51.100.7, , 10.0.0.2'), '10.0.0.2')
    assert.equal(address('10.0.0.1', ''), '10.0.0.1')
    assert.equal(address('10.0.0.1', ','), '10.0.0.1')
  })

  test('is one for an IPv4 client on an IPv6 socket', () => {
    assert.equal(address('::ffff:192.0.2.1', undefined), '192.0.2.1')
    assert.equal(address('::ffff:10.0.0.1', '::ffff:198.51.100.7'), '198.51.100.7')
    assert.equal(address('::ffff:10.0.0.1', '::ffff:c633:6407'), '198.51.100.7')
  })

  test('loses its port and its brackets, and IPv6 has one spelling', () => {
    assert.equal(address('10.0.0.1', '198.51.100.7:443'), '198.51.100.7')
    assert.equal(address('10.0.0.1', '[2001:DB9:0:0::1]:443'), '2001:db9::1')
    assert.equal(address('10.0.0.1', '[2001:db9::1]'), '2001:db9::1')
    assert.equal(address('10.0.0.1', '2001:db9:0::1'), '2001:db9::1')
  })

  test('is unknown on a Unix socket unless its peers are trusted', () => {
    assert.equal(address(undefined, '198.51.100.7'), 'unknown')
    assert.equal(clientAddressFrom(['unix'])(undefined, '198.51.100.7'), '198.51.100.7')
    assert.equal(clientAddressFrom(['unix'])(undefined, undefined), 'unknown')
  })

  test('takes the time of a few hops from a header of any length', () => {
    const long = `1.1.1.1${', 10.0.0.2'.repeat(6000)}`
    const started = performance.now()
    for (let i = 0; i < 100; i++) {
      assert.equal(address('10.0.0.1', long), '10.0.0.2')
      assert.equal(address('10.0.0.1', ' '.repeat(60_000)), '10.0.0.1')
      assert.equal(address('10.0.0.1', ','.repeat(60_000)), '10.0.0.1')
    }
    assert.ok(performance.now() - started < 1000)
  })

  test('is never anything a client made up', () => {
    fc.assert(
      fc.property(fc.string(), (forwardedFor) => {
        assert.equal(address('192.0.2.1', forwardedFor), '192.0.2.1')
        assert.match(address('10.0.0.1', forwardedFor), /^[0-9a-f.:]+$/)
      }),
    )
  })
})

test('a wrong entry among the trusted is an error that names it', () => {
  for (const entry of ['proxy.example', '10.0.0.0/33', '10.0.0.0/', '::/129', '10.0.0.0/8/8', '10.0.0.0/-1', '']) {
    assert.throws(() => peersFrom([entry]), new RegExp(`"${entry}" is no address`))
  }
  assert.equal(peersFrom(['0.0.0.0/0'])('192.0.2.1'), true)
  assert.equal(peersFrom(['::/0'])('not an address'), false)
})
