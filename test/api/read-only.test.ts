/** A registry that takes nothing for a while. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { createControlClient } from '../../cli/control-client.ts'
import { image, push } from '../support/image.ts'
import { refused } from '../support/refusals.ts'
import { testSettings } from '../support/test-registry.ts'
import { newVolume } from '../support/volume.ts'

describe('the read-only switch', () => {
  test('refuses pushes and deletions at once, and takes them again, without a restart', async (t) => {
    const volume = await newVolume(t)
    const { client } = await volume.open()
    const control = createControlClient(join(volume.root, 'berth/control.sock'))
    const pushed = image()
    await push(client, 'a', pushed, 'tag')
    assert.deepEqual(await control.setReadOnly(true), { on: true, by: ['command'] })
    refused(await client.startUpload('a'), 'read-only')
    refused(await client.deleteManifest('a', 'tag'), 'read-only')
    assert.equal((await client.getManifest('a', 'tag')).status, 200)
    assert.deepEqual((await control.status()).readOnly, { on: true, by: ['command'] })
    assert.deepEqual(await control.setReadOnly(false), { on: false, by: [] })
    assert.equal((await client.startUpload('a')).status, 202)
  })

  test('stays as it is over a restart, which says so', async (t) => {
    const volume = await newVolume(t)
    await volume.open()
    const control = createControlClient(join(volume.root, 'berth/control.sock'))
    await control.setReadOnly(true)
    const { client, registry } = await volume.open()
    refused(await client.startUpload('a'), 'read-only')
    assert.ok(registry.logged.some((line) => line.includes('read-only: pushes and deletions are refused')))
    await control.setReadOnly(false)
    const again = await volume.open()
    assert.equal((await again.client.startUpload('a')).status, 202)
  })

  test('does not overrule the configuration', async (t) => {
    const volume = await newVolume(t)
    const { maintenance } = testSettings(volume.root).storage
    const { client } = await volume.open({ storage: { maintenance: { ...maintenance, readOnly: { enabled: true } } } })
    const control = createControlClient(join(volume.root, 'berth/control.sock'))
    assert.deepEqual(await control.setReadOnly(false), { on: true, by: ['configuration'] })
    refused(await client.startUpload('a'), 'read-only')
  })
})
