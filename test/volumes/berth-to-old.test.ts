/** A volume that Berth filled, served by the registries that the layout comes from. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { blob, image } from '../support/image.ts'
import { runBerth, serveBerth } from './berth-command.ts'
import { assertSame, takeCensus, withAll } from './census.ts'
import { newFolder } from './ending.ts'
import { fill } from './fill.ts'
import { createFiller } from './filler.ts'
import { oldVersions, requireOld } from './old-registry.ts'

for (const version of oldVersions) {
  test(`registry ${version} serves what Berth wrote, before and after it is released, and collects nothing of it`, async (t) => {
    const old = requireOld(t, version)
    if (!old) return
    const root = newFolder(t)
    const berth = await serveBerth(t, root)
    const filler = createFiller(berth.client, berth.url)
    await fill(filler, { deletesTags: true })
    const wide = image({ algorithm: 'sha512', layers: [blob(900, { algorithm: 'sha512' })] })
    const { digest } = await filler.push('library/sha512', wide)
    await filler.push('library/sha512', image(), 'v1')
    const census = await takeCensus(berth.client, filler.pushed)
    await berth.stop()

    const ask = async (): Promise<readonly string[]> => {
      const registry = await old.serve(root)
      const answered = withAll(await takeCensus(registry.client, filler.pushed))
      await registry.stop()
      return answered
    }
    assertSame(await ask(), census)

    const released = await runBerth(root, 'release')
    assert.equal(released.code, 0, released.stderr)
    assert.match(released.stdout, /^released: /)
    assert.match(released.stdout, new RegExp(`manifests under digests that are not sha256.*${digest}`))
    assert.match(released.stdout, /signatures and the like that stay as untagged manifests.*library\/signed@/)
    assert.match(released.stdout, /deleted images that can no longer be restored.*library\/app/)
    assertSame(await ask(), census)

    await old.collectGarbage(root)
    // What was deleted, and what was never referred to, may be gone.
    const after = new Set(await ask())
    const lacks = census.filter((line) => !after.has(line) && !isUnused(line))
    assert.deepEqual(lacks, [])
    const refused = await runBerth(root, 'reindex')
    assert.equal(refused.code, 0, refused.stderr)
  })
}

/** Blobs of images that were deleted, and one that no image names: in these repositories. */
const isUnused = (line: string): boolean => /^library\/(all-gone|app|blob-alone) blob /.test(line)
