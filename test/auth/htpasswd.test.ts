import assert from 'node:assert/strict'
import { appendFile, mkdtemp, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { registerHooks } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { AccessController, Credentials } from '../../auth/access.ts'
import type { BcryptPool } from '../../auth/bcrypt-pool.ts'
import { Failure, isFailure } from '../../oci/failure.ts'

/** Everything this thread asks for; what a worker loads does not pass here. */
const imported = new Set<string>()
registerHooks({
  resolve(specifier, context, next) {
    imported.add(specifier)
    return next(specifier, context)
  },
})
const { openHtpasswd } = await import('../../auth/htpasswd.ts')
const { createBcryptPool } = await import('../../auth/bcrypt-pool.ts')
const { parseHtpasswd } = await import('../../auth/htpasswd-file.ts')

// Written by Apache's htpasswd: -B (cost 5), -B -C 6, and -m, which is no bcrypt.
const alice = 'alice:$2y$05$0gdBDSiS5UFvrlTGdnV8nOY5KL5OmB0rV2ZE9iB5h7o5GUP8UfM2C'
const aliceChanged = 'alice:$2y$05$K7njXEVOk4eUnoPagqMxReH11LWrQXhS4sD4cuo99SkRBY6Y9skb2'
const bob = 'bob:$2y$06$5UFWAAhGwzp/BZafgZ8wwOfs9dWq1ERzG427bhYTVwIHNeVKgw5ES'
const carol = 'carol:$apr1$o9seaHle$39r4Hi91.zpctGhdVL2751'

const basic = (username: string, password: string): Credentials => ({ scheme: 'basic', username, password })
const unauthorized = (error: unknown): boolean => isFailure(error, 'unauthorized')

interface Counted extends BcryptPool {
  readonly checks: { password: string; hash: string; urgent: boolean | undefined }[]
}

/** The real pool, with what it was asked. */
function counted(pool: BcryptPool): Counted {
  const checks: Counted['checks'] = []
  return {
    checks,
    check(password, hash, urgent) {
      checks.push({ password, hash, urgent })
      return pool.check(password, hash, urgent)
    },
    close: pool.close,
  }
}

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-htpasswd-'))
})
after(() => rm(folder, { recursive: true }))

let files = 0
interface Opened {
  readonly controller: AccessController
  readonly pool: Counted
  readonly path: string
  readonly logged: string[]
  readonly time: { now: number }
}

async function open(t: TestContext, content: string, realm = 'Berth'): Promise<Opened> {
  const path = join(folder, `htpasswd-${files++}`)
  await writeFile(path, content)
  const logged: string[] = []
  const note = (fields: object, message: string) => logged.push(`${message} ${JSON.stringify(fields)}`)
  const time = { now: 0 }
  const pool = counted(createBcryptPool(1))
  const log = { info: note, warn: note, error: note }
  const controller = await openHtpasswd({ realm, path, log, pool, now: () => time.now })
  t.after(() => controller.close())
  return { controller, pool, path, logged, time }
}

describe('htpasswd', () => {
  test('lets a user in who may then do everything', async (t) => {
    const { controller } = await open(t, `# people\n\n${alice}\r\n${bob}\n`)
    const grant = await controller.authorize(basic('alice', 'wonderland'), [])
    assert.equal(grant.identity, 'alice')
    assert.equal(grant.allows({ type: 'registry', name: 'catalog', action: '*' }), true)
    assert.equal((await controller.authorize(basic('bob', 'builder'), [])).identity, 'bob')
  })

  test('refuses everything else with one and the same challenge', async (t) => {
    const { controller } = await open(t, alice, 'The "Harbour"\\')
    const refused: Credentials[] = [
      { scheme: 'none' },
      { scheme: 'bearer', token: 'wonderland' },
      basic('', ''),
      basic('alice', 'wonderlan'),
      basic('alice', ''),
      basic('alice', 'wonderland\0wonderland'),
      basic('Alice', 'wonderland'),
      basic('mallory', 'wonderland'),
      basic(':', ''),
    ]
    for (const credentials of refused) {
      await assert.rejects(controller.authorize(credentials, []), (error) => {
        assert.ok(error instanceof Failure)
        assert.equal(error.failure, 'unauthorized')
        assert.deepEqual(error.detail, { challenge: 'Basic realm="The \\"Harbour\\"\\\\"' })
        return true
      })
    }
  })

  test('never brings bcrypt to the thread of the event loop', async (t) => {
    const { controller } = await open(t, alice)
    await controller.authorize(basic('alice', 'wonderland'), [])
    assert.ok(imported.has('lru-cache'))
    assert.ok(!imported.has('bcryptjs'))
  })

  test('remembers a success for a minute and a wrong password never', async (t) => {
    const { controller, pool, time } = await open(t, alice)
    for (let i = 0; i < 3; i++) await controller.authorize(basic('alice', 'wonderland'), [])
    assert.equal(pool.checks.length, 1)
    time.now = 59_999
    await controller.authorize(basic('alice', 'wonderland'), [])
    assert.equal(pool.checks.length, 1)
    time.now = 60_000
    await controller.authorize(basic('alice', 'wonderland'), [])
    assert.equal(pool.checks.length, 2)
    for (let i = 0; i < 2; i++) {
      await assert.rejects(controller.authorize(basic('alice', 'wrong'), []), unauthorized)
    }
    assert.equal(pool.checks.length, 4)
  })

  test('puts who was in already before unknown callers', async (t) => {
    const { controller, pool, time } = await open(t, alice)
    await controller.authorize(basic('alice', 'wonderland'), [])
    time.now = 60_000
    await controller.authorize(basic('alice', 'wonderland'), [])
    await assert.rejects(controller.authorize(basic('alice', 'wrong'), []), unauthorized)
    assert.deepEqual(
      pool.checks.map(({ urgent }) => urgent),
      [false, true, false],
    )
  })

  test('checks the same credentials once at a time', async (t) => {
    const { controller, pool } = await open(t, alice)
    const right = Array.from({ length: 20 }, () => controller.authorize(basic('alice', 'wonderland'), []))
    const wrong = Array.from({ length: 20 }, () => controller.authorize(basic('alice', 'wrong'), []))
    await Promise.all(right)
    for (const { status } of await Promise.allSettled(wrong)) assert.equal(status, 'rejected')
    assert.equal(pool.checks.length, 2)
  })

  test('spends on an unknown user what the dearest known one costs', async (t) => {
    const { controller, pool } = await open(t, `${alice}\n${bob}\n${carol}\n`)
    await assert.rejects(controller.authorize(basic('mallory', 'x'), []), unauthorized)
    await assert.rejects(controller.authorize(basic('carol', 'md5pass'), []), unauthorized)
    for (const { hash } of pool.checks) assert.match(hash, /^\$2b\$06\$[./A-Za-z0-9]{53}$/)
    assert.equal(pool.checks.length, 2)
  })

  test('refuses passwords of which bcrypt would read a part only', async (t) => {
    const { controller, pool } = await open(t, alice)
    await assert.rejects(controller.authorize(basic('alice', 'x'.repeat(73)), []), unauthorized)
    await assert.rejects(controller.authorize(basic('alice', 'ä'.repeat(37)), []), unauthorized)
    assert.equal(pool.checks.length, 0)
    await assert.rejects(controller.authorize(basic('alice', 'ä'.repeat(36)), []), unauthorized)
    assert.equal(pool.checks.length, 1)
  })

  test('warns once of a user whose entry is no bcrypt hash', async (t) => {
    const { controller, logged, path, time } = await open(t, `${alice}\n${carol}\n`)
    await appendFile(path, `${bob}\n`)
    time.now = 1000
    await controller.authorize(basic('bob', 'builder'), [])
    assert.equal(logged.filter((line) => line.includes('"carol"')).length, 1)
  })
})

describe('an htpasswd file that changes', () => {
  test('counts from the next second on, and what was remembered does not', async (t) => {
    const { controller, path, time } = await open(t, alice)
    await controller.authorize(basic('alice', 'wonderland'), [])
    await writeFile(path, aliceChanged)
    await controller.authorize(basic('alice', 'wonderland'), [])
    time.now = 1000
    await assert.rejects(controller.authorize(basic('alice', 'wonderland'), []), unauthorized)
    await controller.authorize(basic('alice', 'changed'), [])
  })

  test('is noticed when another file of the same size and time takes its place', async (t) => {
    const { controller, path, time } = await open(t, alice)
    await writeFile(`${path}.new`, aliceChanged)
    for (const each of [path, `${path}.new`]) await utimes(each, 1_700_000_000, 1_700_000_000)
    time.now = 1000
    await controller.authorize(basic('alice', 'wonderland'), [])
    await rename(`${path}.new`, path)
    time.now = 2000
    await controller.authorize(basic('alice', 'changed'), [])
  })

  test('keeps its last good content while it is broken or gone, and says so once', async (t) => {
    const { controller, path, time, logged } = await open(t, alice)
    await writeFile(path, `${bob}\nnonsense\n`)
    for (const now of [1000, 2000, 3000]) {
      time.now = now
      await controller.authorize(basic('alice', 'wonderland'), [])
      await assert.rejects(controller.authorize(basic('bob', 'builder'), []), unauthorized)
    }
    assert.equal(logged.length, 1)
    await rm(path)
    for (const now of [4000, 5000]) {
      time.now = now
      await controller.authorize(basic('alice', 'wonderland'), [])
    }
    assert.equal(logged.length, 2)
    await writeFile(path, bob)
    time.now = 6000
    await controller.authorize(basic('bob', 'builder'), [])
    await assert.rejects(controller.authorize(basic('alice', 'wonderland'), []), unauthorized)
  })

  test('must be there and be valid at the start', async () => {
    const log = { info() {}, warn() {}, error() {} }
    const missing = join(folder, 'missing')
    await assert.rejects(openHtpasswd({ realm: 'r', path: missing, log }), /does not exist.*htpasswd -B -c/)
    const broken = join(folder, 'broken')
    await writeFile(broken, `${alice}\n\nnonsense\n`)
    await assert.rejects(openHtpasswd({ realm: 'r', path: broken, log }), /line 3 has no colon/)
  })

  test('gives the last of two lines for one user', () => {
    assert.equal(parseHtpasswd(`${alice}\n${aliceChanged}`).hashes.get('alice'), aliceChanged.slice(6))
    assert.deepEqual(parseHtpasswd(`\uFEFF${alice}\nalice:plain`), { hashes: new Map(), unusable: ['alice'] })
  })
})

describe('the bcrypt pool', () => {
  const hash = alice.slice(6)

  test('turns away what its queue does not hold, and serves the rest', async (t) => {
    const pool = createBcryptPool(1, 2)
    t.after(pool.close)
    const taken = [1, 2, 3].map(() => pool.check('wonderland', hash))
    await assert.rejects(pool.check('wonderland', hash), (error) => {
      assert.ok(isFailure(error, 'too-many-requests'))
      assert.ok(error.detail.retryAfterSeconds >= 1)
      return true
    })
    const urgent = pool.check('wonderland', hash, true)
    assert.deepEqual(await Promise.all([...taken, urgent]), [true, true, true, true])
    assert.equal(await pool.check('wrong', hash), false)
  })

  test('serves an urgent check before those that wait', async (t) => {
    const pool = createBcryptPool(1)
    t.after(pool.close)
    const order: string[] = []
    const check = async (name: string, urgent: boolean) => {
      await pool.check('wrong', hash, urgent)
      order.push(name)
    }
    await Promise.all([check('running', false), check('waiting', false), check('urgent', true)])
    assert.deepEqual(order, ['running', 'urgent', 'waiting'])
  })

  test('replaces a thread that a check has broken', async (t) => {
    const pool = createBcryptPool(1)
    t.after(pool.close)
    const broken = pool.check('x', `$9z$05$${'a'.repeat(53)}`)
    const next = pool.check('wonderland', hash)
    await assert.rejects(broken)
    assert.equal(await next, true)
  })

  test('leaves nobody waiting when it closes', async () => {
    const pool = createBcryptPool(1)
    const checks = [pool.check('wonderland', hash), pool.check('wonderland', hash)]
    const settled = Promise.allSettled(checks)
    await pool.close()
    for (const result of await settled) assert.ok(result.status === 'rejected' && isFailure(result.reason, 'draining'))
    await assert.rejects(pool.check('wonderland', hash), (error) => isFailure(error, 'draining'))
  })
})
