/** What a server does by itself beside serving. */
import assert from 'node:assert/strict'
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { createControlClient } from '../../cli/control-client.ts'
import { parseDigest } from '../../oci/digest.ts'
import { startBackground } from '../../server/compose/background.ts'
import type { Store } from '../../server/compose/store.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { layout } from '../../storage/layout.ts'
import { NotCollected } from '../../upkeep/collect/parts.ts'
import { openLocal } from '../contracts/local-registry.ts'
import { blob, image, push } from '../support/image.ts'
import { testSettings } from '../support/test-registry.ts'
import { newVolume, type Volume } from '../support/volume.ts'

const controlOf = ({ root }: Volume) => createControlClient(join(root, 'berth/control.sock'))

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await isSo()); tries++) {
    assert.ok(tries < 1000, 'it never came')
    await delay(10)
  }
}

describe('a server', () => {
  test('collects by itself, again and again', async (t) => {
    const volume = await newVolume(t)
    const { client, registry } = await volume.open({ collector: { graceMs: 2000, intervalMs: 20, trashMs: 0 } })
    const layer = blob(10_000)
    const built = image({ layers: [layer] })
    await push(client, 'a', image({ layers: [blob(200_000)] }), 'kept')
    await push(client, 'a', built, 'tag')
    const file = join(volume.root, layout.blob(parseDigest(layer.digest)!))
    assert.ok(existsSync(file))
    await client.deleteManifest('a', built.digest)
    await until(() => !existsSync(file))
    await until(() => registry.logged.some((line) => line.includes('"collected"')))
    assert.equal((await client.getManifest('a', 'kept')).status, 200)
  })

  test('pauses before it frees much that nobody deleted, and says what to do', async (t) => {
    const volume = await newVolume(t)
    const { client, registry } = await volume.open({ collector: { graceMs: 1, intervalMs: 20, trashMs: 0 } })
    const orphan = blob(100_000)
    await client.startUpload('a', `?digest=${orphan.digest}`, { body: orphan.bytes })
    await until(() => registry.logged.some((line) => line.includes('the collector pauses')))
    assert.ok(existsSync(join(volume.root, layout.blob(parseDigest(orphan.digest)!))))
    assert.equal((await controlOf(volume).status()).collector.paused?.blobs, 1)
  })

  test('reads a volume that another registry wrote while it serves it, and logs why', async (t) => {
    const volume = await newVolume(t)
    const built = image()
    await push((await volume.open()).client, 'a', built, 'tag')
    await volume.stop()
    rmSync(join(volume.root, 'berth'), { recursive: true })
    const { client, registry } = await volume.open()
    assert.equal((await client.getManifest('a', 'tag')).status, 200)
    await until(async () => (await controlOf(volume).status()).adoption.phase === 'done')
    const begun = registry.logged.find((line) => line.includes('reading the volume: it is served meanwhile'))
    assert.match(begun ?? '', /another registry wrote this volume/)
    const { repositories } = await controlOf(volume).status()
    assert.deepEqual(repositories, { adopted: 1, unadopted: 0 })
  })

  test('reads again what another program changed meanwhile, before anything is collected', async (t) => {
    const volume = await newVolume(t)
    const built = image()
    await push((await volume.open()).client, 'a', built, 'tag')
    await push((await volume.open()).client, 'b', image(), 'tag')
    await volume.stop()
    rmSync(join(volume.root, 'docker/registry/v2/repositories/a/_manifests/tags/tag'), { recursive: true })
    const { client } = await volume.open()
    await controlOf(volume).collect({}, () => {})
    assert.equal((await client.getManifest('a', 'tag')).status, 404)
    assert.equal((await client.getManifest('a', built.digest)).status, 200)
    assert.equal((await controlOf(volume).status()).adoption.changedElsewhere, 1)
  })

  test('says nothing where it cannot collect just now', async (t) => {
    const local = await openLocal(new MemoryDriver())
    t.after(() => local.close())
    const asked = Promise.withResolvers<void>()
    const store = {
      parts: local.parts,
      adopter: { status: () => ({ phase: 'done' }) },
      catchUp: { run: async () => {} },
      readOnly: { refresh: async () => {} },
      collector: { status: async () => ({ running: false }) },
      operations: {
        collect: async () => {
          asked.resolve()
          throw new NotCollected('a backup is being made: try again when that is done')
        },
      },
    } as unknown as Store
    const logged: string[] = []
    const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(line) })
    const collector = { graceMs: 1, intervalMs: 3_600_000, trashMs: 0 }
    const background = startBackground(store, testSettings('/nowhere', { collector }), log)
    await asked.promise
    await delay(10)
    await background.stop()
    assert.deepEqual(
      logged.filter((line) => !line.includes('gave up abandoned uploads')),
      [],
    )
  })
})
