/** What a registry of long ago left is told in words that its owner can act upon. */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { digestOf } from '../../oci/digest.ts'
import { layout } from '../../storage/layout.ts'
import { nameOf, tagOf } from '../contracts/facts-tools.ts'
import { refused } from '../support/refusals.ts'
import { newVolume } from '../support/volume.ts'

const name = nameOf('old/image')

test('a schema 1 manifest is named as what it is, by tag and by digest, before and after the volume was read', async (t) => {
  const volume = await newVolume(t)
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 1, name, tag: 'v1', fsLayers: [], history: [] }))
  const digest = digestOf(bytes)
  const files = {
    [layout.blob(digest)]: bytes,
    [layout.revision(name, digest)]: digest,
    [layout.tagCurrent(name, tagOf('v1'))]: digest,
  }
  for (const [key, content] of Object.entries(files)) {
    const path = join(volume.root, key)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, content)
  }
  for (const state of ['being read', 'read']) {
    const { client } = await volume.open()
    for (const reference of ['v1', digest]) {
      t.diagnostic(`${reference} of a volume that is ${state}`)
      refused(await client.getManifest(name, reference), 'manifest-schema1-stored')
    }
    await client.listTags(name)
  }
})
