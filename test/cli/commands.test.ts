import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { targetOf } from '../../cli/healthcheck.ts'
import { loadSettings } from '../../server/config/load.ts'
import { listOptions } from '../../server/config/option.ts'
import { root } from '../../server/config/schema.ts'
import { run } from './command.ts'

const folder = mkdtempSync(join(tmpdir(), 'berth-cli-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const berth = (args: readonly string[], env: Record<string, string> = {}, program = 'berth') =>
  run(args, env, program, folder).result

function write(name: string, text: string): string {
  const file = join(folder, name)
  writeFileSync(file, text)
  return file
}

describe('berth', () => {
  test('tells its version', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
    assert.deepEqual(await berth(['--version']), { code: 0, stdout: `${version}\n`, stderr: '' })
  })

  test('teaches with examples', async () => {
    const { stdout, code } = await berth(['--help'])
    assert.equal(code, 0)
    for (const part of ['serve', 'config', 'healthcheck', 'Examples:', 'REGISTRY_HTTP_ADDR']) {
      assert.ok(stdout.includes(part), part)
    }
    assert.match((await berth(['serve', '--help'])).stdout, /REGISTRY_CONFIGURATION_PATH/)
  })

  test('does not guess what an unknown command means', async () => {
    const { code, stderr } = await berth(['srve'])
    assert.equal(code, 1)
    assert.match(stderr, /unknown command 'srve'[\s\S]*serve/)
  })

  test('answers to the name that scripts for distribution use', async () => {
    assert.match((await berth(['--help'], {}, 'registry')).stdout, /Usage: registry/)
  })
})

describe('berth config check', () => {
  test('tells what comes of a configuration, and hides secrets', async () => {
    const file = write(
      'good.yml',
      'http: {secret: hunter2, addr: ":7000", draintimeout: 1m30s}\nnotifications: {endpoints: [{name: x}]}',
    )
    const { code, stdout, stderr } = await berth(['config', 'check', file], { REGISTRY_LOG_LEVEL: 'debug' })
    assert.deepEqual([code, stderr], [0, ''])
    assert.match(stdout, /^warning: notifications has no effect/)
    assert.match(stdout, /^ok: .*good\.yml$/m)
    assert.match(stdout, /port: 7000/)
    assert.match(stdout, /level: debug/)
    assert.match(stdout, /drainTimeout: 1m30s/)
    assert.match(stdout, /secret: \(hidden\)/)
    assert.ok(!stdout.includes('hunter2'))
  })

  test('shows no secret, whatever the configuration holds', async () => {
    const secrets = listOptions(root).filter(({ facts }) => facts.secret)
    const given = secrets.map(({ path }): [string, string] => {
      const isUrl = path.at(-1) === 'url'
      return [
        `REGISTRY_${path.join('_').toUpperCase()}`,
        isUrl ? 'postgres://me:hunter2@db/x?password=hunter2' : 'hunter2',
      ]
    })
    const others = {
      REGISTRY_STORAGE_S3_BUCKET: 'bucket',
      REGISTRY_STORAGE_S3_REGION: 'here',
      REGISTRY_REDIS_ADDR: 'redis',
      REGISTRY_REDIS_MASTERNAME: 'master',
    }
    const { code, stdout } = await berth(['config', 'check'], { ...Object.fromEntries(given), ...others })
    assert.equal(code, 0, stdout)
    assert.ok(secrets.length >= 7)
    assert.equal(stdout.match(/\(hidden\)/g)?.length, secrets.length - 1)
    assert.match(stdout, /url: postgres:\/\/me:\*\*\*@db\/x\?password=\*\*\*/)
    assert.ok(!stdout.includes('hunter2'))
  })

  test('names every problem, one a line, and ends with 1', async () => {
    const file = write('bad.yml', 'log: {level: loud}\nauth: {token: {realm: x}}\nhttp: {addr: nowhere}')
    const { code, stdout, stderr } = await berth(['config', 'check', file])
    assert.deepEqual([code, stdout], [1, ''])
    const lines = stderr.trim().split('\n')
    assert.equal(lines.length, 4)
    assert.match(lines[0] ?? '', /3 problems/)
    assert.doesNotMatch(stderr, /^\s+at /m)
  })
})

describe('berth serve', () => {
  for (const args of [['serve', 'FILE'], ['FILE']]) {
    test(`${args.join(' ')} with a bad configuration names its problems and ends with 1`, async () => {
      const file = write('refused.yml', 'storage: {gcs: {bucket: b}}\nhttp: {addr: nowhere}')
      const given = args.map((word) => (word === 'FILE' ? file : word))
      for (const program of ['berth', 'registry']) {
        const { code, stderr } = await berth(given, {}, program)
        assert.equal(code, 1)
        assert.match(stderr, /^storage\.gcs: /m)
        assert.match(stderr, /^http\.addr: /m)
        assert.doesNotMatch(stderr, /^\s+at /m)
      }
    })
  }
})

describe('berth healthcheck', () => {
  let server: Server
  let status = 200
  let asked = ''
  before(async () => {
    server = createServer((request, response) => {
      asked = request.url ?? ''
      response.writeHead(status).end()
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
  })
  after(() => server.close())
  const address = (): string => `127.0.0.1:${(server.address() as AddressInfo).port}`

  test('ends with 0 when the registry of the configuration is ready', async () => {
    status = 200
    assert.equal((await berth(['healthcheck'], { REGISTRY_HTTP_ADDR: address() })).code, 0)
    assert.equal(asked, '/readyz')
  })

  test('asks the URL that is given', async () => {
    status = 200
    assert.equal((await berth(['healthcheck', `http://${address()}/other`])).code, 0)
    assert.equal(asked, '/other')
  })

  test('ends with 1 and a sentence when the registry is not ready, or is not there', async () => {
    status = 503
    const unready = await berth(['healthcheck'], { REGISTRY_HTTP_ADDR: address() })
    assert.equal(unready.code, 1)
    assert.match(unready.stderr, /answers 503\n$/)
    const absent = await berth(['healthcheck', 'http://127.0.0.1:1/readyz'])
    assert.equal(absent.code, 1)
    assert.match(absent.stderr, /does not answer/)
    assert.doesNotMatch(absent.stderr, /^\s+at /m)
  })

  const targets: readonly (readonly [Record<string, string>, object])[] = [
    [{}, { url: 'http://127.0.0.1:5000/readyz' }],
    [{ REGISTRY_HTTP_ADDR: '[::]:1', REGISTRY_HTTP_PREFIX: '/x/' }, { url: 'http://[::1]:1/x/readyz' }],
    [
      { REGISTRY_HTTP_ADDR: 'a.example:443', REGISTRY_HTTP_TLS_CERTIFICATE: 'c', REGISTRY_HTTP_TLS_KEY: 'k' },
      { url: 'https://a.example:443/readyz' },
    ],
    [
      { REGISTRY_HTTP_NET: 'unix', REGISTRY_HTTP_ADDR: '/run/b.sock' },
      { url: 'http://localhost/readyz', socketPath: '/run/b.sock' },
    ],
  ]
  for (const [env, target] of targets) {
    test(`asks ${JSON.stringify(target)} with ${Object.values(env).join(' ') || 'defaults'}`, () => {
      assert.deepEqual(targetOf(loadSettings({ env }).settings.http), target)
    })
  }
})
