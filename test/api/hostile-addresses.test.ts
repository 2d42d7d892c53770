/** Addresses that mean harm. None leads out of the repository that it names, and none breaks the server. */
import assert from 'node:assert/strict'
import { after, afterEach, describe, test } from 'node:test'
import { blob, image, push, pushBlob } from '../support/image.ts'
import { exchange, requestText } from '../support/raw.ts'
import { serve } from '../support/served.ts'

const { client, registry } = await serve()
const secret = await pushBlob(client, 'secret/blobs', blob('the secret'))
await push(client, 'a/b', image(), 'latest')

afterEach(async () => assert.equal((await client.check()).status, 200))
after(() =>
  assert.deepEqual(
    registry.logged.filter((line) => /"level":"?(50|60|error|fatal)/.test(line)),
    [],
  ),
)

async function ask(target: string, method = 'GET'): Promise<{ status: number; body: string }> {
  const [reply] = await exchange(registry.port, requestText(`${method} ${target}`, ['Connection: close']))
  return reply ?? { status: 0, body: '' }
}

describe('an address with escapes', () => {
  const escapes = [
    '/v2/a%2Fb/tags/list',
    '/v2/a%2fb/manifests/latest',
    '/v2%2Fa/b/tags/list',
    '/v2/a/b%2Fmanifests%2Flatest',
    '/v2/a%252Fb/tags/list',
    '/v2/a%5Cb/tags/list',
    '/v2/a%00b/tags/list',
    '/v2/a/b%20/tags/list',
    '/v2/%61/b/manifests/latest',
    '/v2/a/b/manifests/l%61test',
    '/v2/a/b/tags%2Flist',
    '/%76%32/',
    '/v2/%/tags/list',
    '/v2/%zz/tags/list',
    '/v2/%ff%fe/tags/list',
    '/v2/%E0%A4%A/tags/list',
    '/v2/a/b/manifests/%',
    '/v2/a/b/blobs/%zz',
    '/v2/a/b/blobs/uploads/%E0%A4%A',
    '/v2/a%0d%0aX-Injected:%20yes/tags/list',
  ]
  for (const target of escapes) {
    for (const method of ['GET', 'PUT', 'DELETE']) {
      test(`is no other address: ${method} ${target}`, async () => {
        const { status, body } = await ask(target, method)
        assert.ok([400, 404, 405].includes(status), `${status} ${body}`)
        assert.ok(JSON.parse(body).errors.length > 0)
      })
    }
  }
})

describe('an address that climbs', () => {
  const climbs = [
    '/../../etc/passwd',
    '/v2/../v2/_catalog',
    '/v2/../../etc/passwd',
    '/v2/a/b/../../secret/blobs/tags/list',
    '/v2/a/b/./manifests/latest',
    '/v2/a/%2e%2e/secret/blobs/tags/list',
    '/v2/%2e%2e/%2e%2e/%2e%2e/etc/passwd/manifests/latest',
    '/v2/a/b/manifests/..',
    '/v2/a/b/manifests/%2e%2e',
    '/v2/a/b/manifests/..%2f..%2f..%2fetc%2fpasswd',
    '/v2/a/b/blobs/../../../etc/passwd',
    `/v2/a/b/blobs/uploads/../../../secret/blobs/blobs/${secret.digest}`,
    `/v2/a/b/blobs/sha256:..%2f..%2f${secret.digest.slice(7)}`,
    '/v2/a/b/blobs/uploads/..%2f..%2fdata',
    '/v2//tags/list',
    '/v2//a/b/tags/list',
    '/v2/a//b/tags/list',
    '/v2/a/b//tags/list',
    '/v2/a/b/tags//list',
    '/v2/a/b/tags/list//',
    '//v2/',
    '//evil.example/v2/',
    '\\v2\\a\\b\\tags\\list',
    '/v2/a\\b/tags/list',
    '/v2/..\\..\\etc\\passwd/manifests/x',
    '/v2/~root/tags/list',
    '/v2/a;b/tags/list',
    '/v2/a/b/manifests/latest;x',
  ]
  for (const target of climbs) {
    test(`stays where it is: ${target}`, async () => {
      const { status, body } = await ask(target)
      assert.ok([400, 404].includes(status), `${status} ${body}`)
      assert.doesNotMatch(body, /root:|the secret|"latest"\]/)
    })
  }
})

describe('a target of another form', () => {
  test('is a whole URL, of which only the path counts', async () => {
    for (const target of ['http://registry.test/v2/', 'http://evil.example:1234/v2/', 'HTTP://x/v2/?a=b']) {
      assert.deepEqual(await ask(target).then(({ status, body }) => [status, body]), [200, '{}'], target)
    }
    assert.equal((await ask('http://evil.example/v2/secret/nothing')).status, 404)
    assert.equal((await ask('http://evil.example')).status, 200)
  })

  const odd = [
    'http://',
    'http:///v2/',
    'http://[::1/v2/',
    'http://x:99999999/v2/',
    'http://x:abc/v2/',
    'http://%zz/v2/',
    'http://a b/v2/',
    'http:v2/',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'gopher://x/v2/',
    '*',
    'v2/',
    '?',
    '#',
    '/v2/#x',
    '/v2/a/b/manifests/latest#x',
    '/#/v2/',
    '/v2/?#',
    'https://user:password@x/v2/',
    'http://x\\v2/',
  ]
  for (const target of odd) {
    for (const method of ['GET', 'OPTIONS']) {
      test(`does not break anything: ${method} ${target}`, async () => {
        const { status, body } = await ask(target, method)
        assert.ok([0, 200, 400, 404, 405].includes(status), `${status} ${body}`)
        assert.doesNotMatch(body, /root:/)
      })
    }
  }
})

describe('an address that is long', () => {
  test('is refused above the limit of a head', async () => {
    for (const size of [100_000, 1_000_000]) {
      const { status } = await ask(`/v2/${'a'.repeat(size)}/tags/list`)
      assert.ok([0, 414, 431].includes(status), String(status))
    }
  })

  const parts = {
    letters: 'a',
    slashes: '/',
    components: 'a/',
    blobs: 'blobs/',
    uploads: 'blobs/uploads/',
    dashes: 'a-',
  }
  const ends = ['tags/list', 'blobs/uploads/', `manifests/${'a'.repeat(1000)}`, 'x', '%', '_oci/ext/discover']
  for (const [what, part] of Object.entries({ ...parts, escapes: '%2F', manifests: 'manifests/' })) {
    test(`is refused below it, whatever repeats: ${what}`, async () => {
      for (const end of ends) {
        const { status, body } = await ask(`/v2/${part.repeat(Math.floor(50_000 / part.length))}/${end}`)
        assert.ok([400, 404].includes(status) || (status === 405 && end === 'blobs/uploads/'), `${status} ${body}`)
        assert.ok(body.length < 2000, `an answer of ${body.length} bytes`)
      }
    })
  }

  test('has a long query', async () => {
    const queries = [`q=${'x'.repeat(50_000)}`, 'a=b&'.repeat(12_000), `last=${'%F0%9F%90%8B'.repeat(4000)}`]
    for (const query of [
      ...queries,
      `n=${'1'.repeat(50_000)}`,
      '='.repeat(50_000),
      '&'.repeat(50_000),
      '%'.repeat(50_000),
    ]) {
      for (const path of ['/v2/a/b/tags/list', '/v2/_catalog', '/v1/search']) {
        const { status } = await ask(`${path}?${query}`)
        assert.ok([200, 400].includes(status), String(status))
      }
    }
  })
})

describe('a query that means harm', () => {
  const queries = [
    'n[]=1',
    'n=1&n=2',
    'last[]=x',
    'last=%',
    'last=%zz',
    'last=%00',
    'last=%ff',
    "last=' or 1=1 --",
    '__proto__=1',
  ]
  for (const query of [
    ...queries,
    'artifactType[]=x',
    'artifactType=%00',
    'q=%25%25',
    'q=%00',
    'n=1;drop table tags',
    '&&&',
    '=',
  ]) {
    test(`is read as it stands: ${query}`, async () => {
      const target = query.replaceAll(' ', '%20')
      const digest = `sha256:${'0'.repeat(64)}`
      for (const path of ['/v2/a/b/tags/list', '/v2/_catalog', '/v1/search', `/v2/a/b/referrers/${digest}`]) {
        const { status, body } = await ask(`${path}?${target}`)
        assert.ok([200, 400].includes(status), `${status} ${body}`)
      }
    })
  }

  test('does not write a header of its own', async () => {
    const injected = '%0d%0aX-Injected:%20yes'
    const requests = [`/v2/a/b/tags/list?n=1&last=${injected}`, `/v2/_catalog?n=1&last=${injected}`]
    await push(client, 'a/b', image(), 'other', 'third')
    for (const target of requests) {
      const [reply] = await exchange(registry.port, requestText(`GET ${target}`, ['Connection: close']))
      assert.doesNotMatch(reply?.head ?? '', /^x-injected/im)
    }
  })
})
