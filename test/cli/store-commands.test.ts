/** Commands that ask about a store, or change it: beside a server, and where there is none. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { startBerth } from '../support/berth-process.ts'
import { type Client, createClient } from '../support/client.ts'
import { type Built, blob, image, push } from '../support/image.ts'
import { startTestRegistry } from '../support/test-registry.ts'
import { run } from './command.ts'
import { blobFiles, impatient, newRoot, type Place, subject } from './store-subject.ts'

const places: readonly Place[] = ['beside a server', 'without a server']

for (const place of places) {
  describe(`${place}, berth`, () => {
    test('status tells what is in the store', async (t) => {
      const { berth, json } = await subject(t, place, (client) => push(client, 'a/b', image(), 'tag'))
      const { stdout, code } = await berth('status')
      assert.equal(code, 0)
      assert.match(stdout, /^repositories +1$/m)
      assert.match(stdout, /^blobs +3, /m)
      assert.match(stdout, place === 'beside a server' ? /, serving$/m : /no server has the store open$/m)
      const status = await json<{ store: { blobs: number }; served: boolean }>('status')
      assert.deepEqual([status.store.blobs, status.served], [3, place === 'beside a server'])
    })

    test('gc frees the bytes of what was deleted, and tells what it would', async (t) => {
      const built = image({ layers: [blob(5000)] })
      const prepare = async (client: Client) => {
        await push(client, 'a', built, 'tag')
        await push(client, 'a', image(), 'kept')
        await client.deleteManifest('a', built.digest)
      }
      const { berth, json, root } = await subject(t, place, prepare, impatient)
      const planned = await berth('gc', '--dry-run')
      assert.equal(planned.code, 0, planned.stderr)
      assert.match(planned.stdout, new RegExp(`would free +blob +${built.blobs[1]?.digest}`))
      assert.match(planned.stdout, /3 blobs, .* would be freed/)
      assert.equal(blobFiles(root).length, 6)
      const report = await json<{ freedBlobs: number; freedBytes: number }>('gc')
      assert.equal(report.freedBlobs, 3)
      assert.ok(report.freedBytes > 5000)
      assert.equal(blobFiles(root).length, 3)
      assert.match((await berth('gc')).stdout, /^0 blobs, 0 B \(0 bytes\), freed/)
    })

    test('gc ends with 3 where much would go that nobody deleted, and frees it after a yes', async (t) => {
      const orphan = blob(50_000)
      const prepare = async (client: Client) => {
        await push(client, 'a', image(), 'kept')
        await client.startUpload('a', `?digest=${orphan.digest}`, { body: orphan.bytes })
      }
      const { berth, root } = await subject(t, place, prepare, impatient)
      const paused = await berth('gc')
      assert.equal(paused.code, 3, paused.stderr)
      assert.match(paused.stderr, /1 blob, 48\.8 KiB, 9\d % of all bytes, would go: say --yes/)
      assert.equal(blobFiles(root).length, 4)
      assert.equal((await berth('gc', '--yes')).code, 0)
      assert.equal(blobFiles(root).length, 3)
    })

    test('trash lists what was deleted, restores it, and lets it go', async (t) => {
      const [first, second] = [image(), image()]
      const prepare = async (client: Client) => {
        for (const built of [first, second]) {
          await push(client, 'a', built, `tag-${built.digest.slice(7, 12)}`)
          await client.deleteManifest('a', built.digest)
        }
      }
      const { berth, json } = await subject(t, place, prepare)
      const { entries } = await json<{ entries: { id: string; digest: string }[] }>('trash', 'list')
      assert.deepEqual(entries.map(({ digest }) => digest).sort(), [first.digest, second.digest].sort())
      const listed = await berth('trash', 'list', '--repository', 'a')
      assert.match(listed.stdout, /^ID +WHAT +DELETED/)
      assert.match(listed.stdout, new RegExp(`a@${first.digest}`))
      const idOf = ({ digest }: Built) => entries.find((entry) => entry.digest === digest)?.id ?? ''
      const restored = await berth('trash', 'restore', idOf(first))
      assert.match(restored.stdout, new RegExp(`^restored a@${first.digest}, tagged tag-`))
      const twice = await berth('trash', 'restore', idOf(first))
      assert.equal(twice.code, 1)
      assert.match(twice.stderr, /^the trash has no entry/m)
      assert.doesNotMatch(twice.stderr, /^\s+at /m)
      assert.match((await berth('trash', 'purge', '--older-than', '1h')).stdout, /^purged 0 entries/)
      assert.match((await berth('trash', 'purge', idOf(second))).stdout, /^purged 1 entry/)
      assert.equal((await berth('trash', 'list')).stdout, 'the trash is empty\n')
    })

    test('verify ends with 0 while all is well, and with 1 and a report where it is not', async (t) => {
      const layer = blob(5000)
      const { berth, root } = await subject(t, place, (client) => push(client, 'a', image({ layers: [layer] }), 'tag'))
      const well = await berth('verify', '--rate', '50MB/s')
      assert.equal(well.code, 0, well.stderr)
      assert.match(well.stdout, /^read 3 blobs, .*\nall is well$/m)
      const damaged = blobFiles(root).find((path) => path.includes(layer.digest.slice(7))) ?? ''
      writeFileSync(join(root, 'docker/registry/v2/blobs', damaged), 'x'.repeat(5000))
      const report = join(root, 'report.json')
      const wrong = await berth('verify', '--fresh', '--report', report)
      assert.equal(wrong.code, 1)
      assert.match(wrong.stdout, new RegExp(`^damaged .*${layer.digest.slice(7)}.*\\n +used by a:tag$`, 'm'))
      assert.equal(JSON.parse(readFileSync(report, 'utf8')).found, 1)
    })

    test('backup makes a copy that can be served, and brings it up to date', async (t) => {
      const built = image()
      const { berth, root } = await subject(t, place, (client) => push(client, 'a', built, 'tag'))
      const copy = newRoot(t)
      const first = await berth('backup', copy)
      assert.equal(first.code, 0, first.stderr)
      assert.match(first.stdout, /^copied 3 blobs, .* 0 were there already/)
      assert.match((await berth('backup', copy)).stdout, /^copied 0 blobs, .* 3 were there already/)
      const inside = await berth('backup', join(root, 'backup'))
      assert.equal(inside.code, 1)
      assert.match(inside.stderr, /lies inside the store/)
      const registry = await startTestRegistry({}, copy)
      assert.equal((await createClient(registry.url).getManifest('a', 'tag')).status, 200)
      await registry.stop()
    })

    test('readonly refuses pushes from now on', async (t) => {
      const { berth, root } = await subject(t, place, async () => {})
      assert.match((await berth('readonly', 'on')).stdout, /^read-only: somebody said/)
      assert.match((await berth('readonly', 'status')).stdout, /^read-only/)
      if (place === 'without a server') {
        const registry = await startTestRegistry({}, root)
        assert.equal((await createClient(registry.url).startUpload('a')).status, 405)
        await registry.stop()
      }
      assert.match((await berth('readonly', 'off')).stdout, /^pushes and deletions are taken/)
      assert.match((await berth('readonly', 'maybe')).stderr, /Allowed choices are on, off, status/)
    })
  })
}

describe('a server of its own process', () => {
  test('obeys, and logs what it was asked', async (t) => {
    const root = newRoot(t, () => server.stop())
    const server = await startBerth({ root })
    const berth = (...args: string[]) => run(args, { REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: root }).result
    assert.match((await berth('status')).stdout, /, serving$/m)
    assert.equal((await berth('readonly', 'on')).code, 0)
    assert.equal((await createClient(server.url).startUpload('a')).status, 405)
    assert.match(server.output(), /asked by a command/)
  })
})
