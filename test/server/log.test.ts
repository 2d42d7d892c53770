import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { type AccessRecord, accessLine, type LogFormatter, openAccessLog, openLog } from '../../server/log.ts'

async function logTo(formatter: LogFormatter, isTTY = false) {
  const lines: string[] = []
  const output = { isTTY, write: (line: string) => void lines.push(line) }
  const log = await openLog({ level: 'info', formatter, fields: { service: 'registry' }, output })
  return { log, lines, parsed: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) }
}

const record: AccessRecord = {
  id: 'r1',
  identity: 'alice',
  client: '192.0.2.1',
  method: 'GET',
  path: '/v2/',
  status: 200,
  received: 0,
  sent: 2,
  ms: 1.23456,
  agent: 'docker/28.0 (linux)',
}

describe('the log', () => {
  test('is JSON with the configured fields', async () => {
    const { log, parsed } = await logTo('json')
    log.info({ port: 5000 }, 'listening')
    log.debug('unheard')
    const [line, ...more] = parsed()
    assert.equal(more.length, 0)
    assert.match(String(line?.['time']), /^\d{4}-\d\d-\d\dT.*Z$/)
    assert.deepEqual(
      { ...line, time: '' },
      { level: 'info', time: '', service: 'registry', port: 5000, msg: 'listening' },
    )
  })

  test('is what logstash expects', async () => {
    const { log, parsed } = await logTo('logstash')
    log.warn('careful')
    const [line] = parsed()
    assert.equal(line?.['@version'], '1')
    assert.equal(line['message'], 'careful')
    assert.equal(line['level'], 'warn')
    assert.match(String(line['@timestamp']), /Z$/)
  })

  test('is one readable line as text', async () => {
    const { log, lines } = await logTo('text')
    log.error({ err: new Error('two\nlines'), port: 5000 }, 'it "broke"')
    assert.equal(lines.length, 1)
    assert.match(lines[0] ?? '', /^time=\S+Z level=error msg="it \\"broke\\"" service=registry err=".*" port=5000\n$/)
  })

  test('is for people on a terminal', async () => {
    const { log, lines } = await logTo('text', true)
    log.info({ port: 5000 }, 'listening')
    assert.ok(lines.join('').includes('listening'))
    assert.ok(lines.join('').includes('\u001b['))
  })

  test('never says a secret', async () => {
    for (const formatter of ['text', 'json', 'logstash'] as const) {
      const { log, lines } = await logTo(formatter)
      log.info({ password: 's3cret', user: 'alice' }, 'one')
      log.info({ headers: { authorization: 's3cret', 'set-cookie': ['s3cret'], accept: '*/*' } }, 'two')
      log.info({ req: { headers: { cookie: 's3cret', 'proxy-authorization': 's3cret' } } }, 'three')
      assert.ok(!lines.join('').includes('s3cret'))
      assert.ok(lines.join('').includes('[redacted]'))
      assert.ok(lines.join('').includes('alice') && lines.join('').includes('*/*'))
    }
  })
})

describe('the access line', () => {
  test('has everything about one request', () => {
    assert.match(
      accessLine(record, 'text', { service: 'registry' }),
      /^time=\S+ level=info msg=request service=registry id=r1 identity=alice client=192\.0\.2\.1 method=GET path=\/v2\/ status=200 received=0 sent=2 ms=1\.235 agent="docker\/28\.0 \(linux\)"\n$/,
    )
    const { time, ...json } = JSON.parse(accessLine(record, 'json')) as Record<string, unknown>
    assert.equal(typeof time, 'string')
    assert.deepEqual(json, { level: 'info', msg: 'request', ...record, ms: 1.235 })
    assert.equal(JSON.parse(accessLine(record, 'logstash')).message, 'request')
  })

  test('leaves out who and what is not known', () => {
    const line = accessLine({ ...record, identity: undefined, agent: undefined }, 'text')
    assert.ok(!line.includes('identity') && !line.includes('agent'))
  })

  test('keeps the values of known parameters only', () => {
    const path = '/auth/token?service=berth&token=s3cret&%74oken=s3cret&scope=repository:a:pull&password=s3cret&bare'
    const { path: told } = JSON.parse(accessLine({ ...record, path }, 'json'))
    assert.equal(
      told,
      '/auth/token?service=berth&token=[redacted]&%74oken=[redacted]&scope=repository:a:pull&password=[redacted]&bare',
    )
  })

  test('cannot be forged by what a caller sends', () => {
    const agent = 'x" status=500\nlevel=error \u001b[31m\u009b31m\u2028'
    const line = accessLine({ ...record, agent, path: '/v2/ status=500' }, 'text')
    assert.equal(line.indexOf('\n'), line.length - 1)
    assert.ok(line.includes('path="/v2/ status=500"'))
    assert.match(line, /^[ -~]+\n$/)
  })

  test('does not grow with what a caller sends', () => {
    const path = `/v2/?n=${'1'.repeat(60_000)}`
    const line = accessLine({ ...record, path, agent: 'a'.repeat(60_000) }, 'text')
    assert.ok(line.length < 3000)
  })
})

describe('the access log', () => {
  test('holds every line once it is closed, and takes none afterwards', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'berth-log-'))
    t.after(() => rm(folder, { recursive: true }))
    const destination = join(folder, 'access.log')
    const log = openAccessLog({ formatter: 'json', destination })
    for (let i = 0; i < 1000; i++) log.write({ ...record, id: String(i) })
    await Promise.all([log.close(), log.close()])
    log.write(record)
    const lines = (await readFile(destination, 'utf8')).trimEnd().split('\n')
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).id),
      Array.from({ length: 1000 }, (_, i) => String(i)),
    )
    assert.equal(log.dropped, 0)
  })

  test('neither ends the process nor holds up its end when its reader has left', () => {
    const file = JSON.stringify(new URL('../../server/log.ts', import.meta.url))
    const program = `import { openAccessLog } from ${file}
      const log = openAccessLog({ formatter: 'text' })
      await new Promise((resolve) => setTimeout(resolve, 300))
      for (let i = 0; i < 100; i++) log.write(${JSON.stringify(record)})
      await new Promise((resolve) => setTimeout(resolve, 100))
      log.write(${JSON.stringify(record)})
      await log.close()
      console.error('ended well')`
    const command = '"$0" --input-type=module --eval "$1" | true'
    const { stderr } = spawnSync('sh', ['-c', command, process.execPath, program], { encoding: 'utf8' })
    assert.equal(stderr, 'ended well\n')
  })

  test('is written out when the process exits', () => {
    const file = JSON.stringify(new URL('../../server/log.ts', import.meta.url))
    const program = `import { openAccessLog } from ${file}
      const log = openAccessLog({ formatter: 'text' })
      log.write(${JSON.stringify(record)})
      setImmediate(() => process.exit(0))`
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' })
    assert.match(stdout, /^time=.* id=r1 .*\n$/)
  })
})
