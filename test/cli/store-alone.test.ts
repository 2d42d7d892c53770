/** Commands under the names of distribution, and those that need the store for themselves. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { type Client, createClient } from '../support/client.ts'
import { blob, image, push } from '../support/image.ts'
import { startTestRegistry } from '../support/test-registry.ts'
import { run } from './command.ts'
import { blobFiles, impatient, newRoot, subject } from './store-subject.ts'

describe('registry garbage-collect', () => {
  const spellings = [
    ['garbage-collect', 'CONFIG'],
    ['garbage-collect', '--delete-untagged', 'CONFIG'],
    ['garbage-collect', '--delete-untagged=true', '--dry-run=false', 'CONFIG'],
    ['garbage-collect', '-m', '-q', 'CONFIG'],
    ['garbage-collect', 'CONFIG', '--quiet', '-m=true'],
  ]
  for (const spelling of spellings) {
    test(`takes what scripts for distribution say: ${spelling.join(' ')}`, async (t) => {
      const gone = image()
      const prepare = async (client: Client) => {
        await push(client, 'a', gone, 'tag')
        await push(client, 'a', image({ config: blob('{}') }), 'tag')
        await push(client, 'a', image(), 'other')
        await client.deleteManifest('a', 'other')
      }
      const { root } = await subject(t, 'without a server', prepare, { ...impatient, REGISTRY_COLLECTOR_TRASH: '1h' })
      const config = join(root, 'config.yml')
      writeFileSync(
        config,
        `version: 0.1\nstorage: {filesystem: {rootdirectory: ${root}}}\ncollector: {grace: 1ms, trash: 1h}\n`,
      )
      const args = spelling.map((word) => (word === 'CONFIG' ? config : word))
      const { code, stdout, stderr } = await run(args, {}, 'registry').result
      assert.equal(code, 0, stderr)
      assert.match(stdout, /\(\d+ bytes\), freed/)
      if (spelling.includes('-q')) assert.equal(stdout.trim().split('\n').length, 1)
    })
  }

  test('changes nothing with -d, and tells a wrong configuration', async (t) => {
    const { root, berth } = await subject(
      t,
      'without a server',
      async (client) => {
        const built = image()
        await push(client, 'a', built, 'tag')
        await client.deleteManifest('a', built.digest)
      },
      impatient,
    )
    const planned = await berth('garbage-collect', '-m', '--dry-run=true')
    assert.match(planned.stdout, /3 blobs, .* would be freed/)
    assert.equal(blobFiles(root).length, 3)
    const wrong = await berth('garbage-collect', join(root, 'none.yml'))
    assert.equal(wrong.code, 1)
    assert.match(wrong.stderr, /ENOENT/)
  })
})

describe('a command', () => {
  test('refuses what is no store, and makes none of it', async (t) => {
    const root = newRoot(t)
    for (const args of [['status'], ['gc'], ['trash', 'list'], ['readonly', 'on'], ['reindex'], ['release']]) {
      const { code, stderr } = await run(args, { REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: root }).result
      assert.equal(code, 1)
      assert.equal(stderr, `there is no store in ${root}: see storage.filesystem.rootdirectory\n`)
    }
    assert.deepEqual(readdirSync(root), [])
    const inMemory = await run(['status'], { REGISTRY_STORAGE: 'inmemory' }).result
    assert.match(inMemory.stderr, /^the store is in the memory of its server/)
  })

  test('ends with a number of its own where verifying could not even begin', async (t) => {
    const root = newRoot(t)
    const none = await run(['verify'], { REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: root }).result
    assert.equal(none.code, 2)
    mkdirSync(join(root, 'docker/registry/v2'), { recursive: true })
    const rate = await run(['verify', '--rate', 'fast'], { REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: root }).result
    assert.equal(rate.code, 2)
    assert.match(rate.stderr, /^--rate fast is no size/)
  })

  test('says which entries of the trash it needs', async (t) => {
    const root = newRoot(t)
    for (const args of [[], ['--older-than', '1h', 'an-id'], ['--older-than', '7'], ['--older-than', 'soon']]) {
      const { code, stderr } = await run(['trash', 'purge', ...args], {
        REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: root,
      }).result
      assert.equal(code, 1)
      assert.match(stderr, /say which|is no time/)
    }
  })

  for (const name of ['reindex', 'release']) {
    test(`${name} needs the store for itself, and says so`, async (t) => {
      const { berth } = await subject(t, 'beside a server', async () => {})
      const { code, stderr } = await berth(name)
      assert.equal(code, 1)
      assert.match(stderr, new RegExp(`is being served: stop that server first, because ${name} needs the store alone`))
    })
  }

  test('reindex finds everything again, also without the database', async (t) => {
    const { berth, root, json } = await subject(t, 'without a server', async (client) => {
      await push(client, 'a', image(), 'tag')
      await push(client, 'b', image(), 'tag')
    })
    assert.match((await berth('reindex')).stdout, /^read 2 repositories and 6 blobs/)
    for (const file of ['berth.db', 'berth.db-wal', 'berth.db-shm']) rmSync(join(root, 'berth', file), { force: true })
    assert.deepEqual(await json('reindex').then((done) => (done as { repositories: number }).repositories), 2)
  })

  test('release hands the volume over, and serving it again takes it back', async (t) => {
    const built = image()
    const { berth, root } = await subject(t, 'without a server', (client) => push(client, 'a', built, 'tag'))
    const { stdout, code, stderr } = await berth('release')
    assert.equal(code, 0, stderr)
    assert.match(stdout, /^released: what serves this layout can serve the folder now/)
    const registry = await startTestRegistry({}, root)
    assert.equal((await createClient(registry.url).getManifest('a', 'tag')).status, 200)
    await registry.stop()
  })

  test('reads a volume of another registry first, and says so', async (t) => {
    const { root, berth } = await subject(t, 'without a server', (client) => push(client, 'a', image(), 'tag'))
    rmSync(join(root, 'berth'), { recursive: true })
    const { stderr, code } = await berth('trash', 'list')
    assert.equal(code, 0, stderr)
    assert.match(stderr, /^reading the volume: another registry wrote this volume$/m)
    assert.ok(existsSync(join(root, 'berth/store.json')))
    assert.match((await berth('status')).stdout, /^adoption +done$/m)
  })
})
