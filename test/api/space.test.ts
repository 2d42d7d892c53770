/** Pushes into a volume that has little room left. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { withSpace } from '../../registry/with-space.ts'
import { FilesystemDriver } from '../../storage/drivers/filesystem/filesystem.ts'
import { watchSpace } from '../../upkeep/space.ts'
import { openLocal } from '../contracts/local-registry.ts'
import { serveApp } from '../support/app.ts'
import { type Client, header } from '../support/client.ts'
import { blob, digestOf, image, push } from '../support/image.ts'
import { refused } from '../support/refusals.ts'

const reserve = 1000_000
const root = await mkdtemp(join(tmpdir(), 'berth-space-'))
after(() => rm(root, { recursive: true, force: true }))

interface Tight {
  readonly client: Client
  readonly port: number
  free: number
}

async function serveTight(t: import('node:test').TestContext): Promise<Tight> {
  const volume = { free: 50 * reserve }
  const driver = Object.assign(new FilesystemDriver(root), {
    space: async () => ({ free: volume.free, total: 100 * reserve }),
  })
  const local = await openLocal(driver)
  const space = await watchSpace({
    driver,
    reserve,
    onChange: () => {},
    onError: (error) => assert.fail(String(error)),
    lookEveryMs: 5,
  })
  const { client, port } = await serveApp(t, { registry: withSpace(local.registry, space) })
  t.after(async () => {
    await space.close()
    await local.close()
  })
  return Object.assign(volume, { client, port })
}

async function untilRefused(client: Client): Promise<void> {
  while ((await client.startUpload('probe')).status !== 503);
}

describe('a volume with too little room', () => {
  test('refuses every step of a push, to be tried again', async (t) => {
    const tight = await serveTight(t)
    const { client } = tight
    const kept = image()
    await push(client, 'a', kept, 'kept')
    const location = header(await client.startUpload('a'), 'location')
    tight.free = reserve - 1
    await untilRefused(client)
    const layer = blob(100)
    const replies = [
      await client.startUpload('a'),
      await client.startUpload('a', `?digest=${layer.digest}`, { body: layer.bytes }),
      await client.startUpload('b', `?mount=${kept.blobs[0]?.digest}&from=a`),
      await client.appendUpload(location, { body: layer.bytes }),
      await client.commitUpload(location, layer.digest, { body: layer.bytes }),
      await client.putManifest('a', 'other', { body: kept.bytes, headers: { 'Content-Type': kept.mediaType } }),
    ]
    for (const reply of replies) {
      refused(reply, 'storage-full')
      assert.equal(header(reply, 'retry-after'), '60')
    }
  })

  test('goes on with pulls and deletions, and with pushes once there is room', async (t) => {
    const tight = await serveTight(t)
    const { client } = tight
    const pushed = image()
    await push(client, 'c', pushed, 'tag')
    tight.free = 0
    await untilRefused(client)
    assert.equal((await client.getManifest('c', 'tag')).status, 200)
    assert.equal((await client.getBlob('c', pushed.blobs[0]?.digest ?? '')).status, 200)
    assert.equal((await client.deleteManifest('c', pushed.digest)).status, 202)
    tight.free = 50 * reserve
    while ((await client.startUpload('c')).status === 503);
    await push(client, 'c', image(), 'again')
  })

  test('refuses at once a body that is announced to be too long', async (t) => {
    const tight = await serveTight(t)
    tight.free = 2 * reserve
    const location = header(await tight.client.startUpload('d'), 'location')
    await untilKnown(tight)
    const bytes = Buffer.alloc(reserve + 100_000)
    refused(await tight.client.appendUpload(location, { body: bytes }), 'storage-full')
    assert.equal((await tight.client.appendUpload(location, { body: bytes.subarray(0, 500_000) })).status, 202)
  })

  test('refuses a body that is arriving, and takes nothing of it', async (t) => {
    const tight = await serveTight(t)
    const location = header(await tight.client.startUpload('e'), 'location')
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    const options = { host: '127.0.0.1', port: tight.port, path: location, method: 'PATCH' }
    const outgoing = request(options, (answer) => {
      answer.resume()
      resolve(answer.statusCode ?? 0)
    }).on('error', reject)
    outgoing.write(Buffer.alloc(300_000))
    const id = location.split('/').at(-1) ?? ''
    while (!(await readdir(join(root, 'berth/uploads'))).includes(id));
    tight.free = reserve - 1
    assert.equal(await promise, 503)
    outgoing.destroy()
    assert.ok(!(await readdir(join(root, 'berth/uploads'))).includes(id))
    refused(await tight.client.uploadStatus(location), 'upload-unknown')
  })
})

/** The room is looked at again when somebody writes. */
async function untilKnown({ client }: Tight): Promise<void> {
  const bytes = Buffer.alloc(reserve + 100_000)
  while ((await client.startUpload('f', `?digest=${digestOf(bytes)}`, { body: bytes })).status !== 503);
}
