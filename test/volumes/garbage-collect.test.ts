/** `registry garbage-collect`, as users of distribution type it, on a volume that distribution filled. */
import assert from 'node:assert/strict'
import { cpSync, lutimesSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { blob, image, index } from '../support/image.ts'
import { type Outcome, runBerth, runRegistry } from './berth-command.ts'
import { newFolder } from './ending.ts'
import { createFiller } from './filler.ts'
import { type OldProgram, oldVersions, requireOld, writeConfig } from './old-registry.ts'

const week = 7 * 86_400

/** `deleted` bytes can be freed, of about a megabyte. */
async function fillAndDelete(t: TestContext, old: OldProgram, deleted: number): Promise<string> {
  const root = newFolder(t)
  const registry = await old.serve(root)
  const filler = createFiller(registry.client, registry.url)
  const shared = blob(20_000)
  await filler.push('team/app', image({ layers: [shared, blob(1_000_000)] }), 'v1')
  await filler.push('team/app', index([image(), image()]), 'multi')
  const gone = await filler.push('team/app', image({ layers: [shared, blob(deleted)] }), 'gone')
  await filler.remove('team/app', gone.digest)
  await filler.push('team/other', image({ layers: [shared] }))
  await registry.stop()
  setBack(root, week)
  return root
}

/** As if all had been written so many seconds ago. */
function setBack(root: string, seconds: number): void {
  const then = Date.now() / 1000 - seconds
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    lutimesSync(join(entry.parentPath, entry.name), then, then)
  }
}

function blobsIn(root: string): Map<string, number> {
  const folder = join(root, 'docker/registry/v2/blobs')
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return new Map(
    files.map((file) => [file.parentPath.slice(folder.length), statSync(join(file.parentPath, file.name)).size]),
  )
}

function copyOf(t: TestContext, root: string): string {
  const copy = join(newFolder(t), 'copy')
  cpSync(root, copy, { recursive: true, preserveTimestamps: true })
  return copy
}

async function collect(t: TestContext, root: string, ...flags: string[]): Promise<Outcome> {
  return runRegistry(root, 'garbage-collect', ...flags, await writeConfig(t, root, 0))
}

const freedBytes = ({ stdout }: Outcome): number => Number(/\((\d+) bytes\)/.exec(stdout)?.[1])

function total(blobs: ReadonlyMap<string, number>): number {
  return [...blobs.values()].reduce((sum, size) => sum + size, 0)
}

for (const version of oldVersions) {
  test(`garbage-collect frees what registry ${version} frees`, async (t) => {
    const old = requireOld(t, version)
    if (!old) return
    const root = await fillAndDelete(t, old, 50_000)
    const copy = copyOf(t, root)
    await old.collectGarbage(copy)
    const before = blobsIn(root)
    const dry = await collect(t, root, '-d')
    assert.equal(dry.code, 0, dry.stderr)
    assert.deepEqual(blobsIn(root), before)
    const outcome = await collect(t, root)
    assert.equal(outcome.code, 0, outcome.stdout + outcome.stderr)
    assert.deepEqual(blobsIn(root), blobsIn(copy))
    assert.equal(freedBytes(outcome), total(before) - total(blobsIn(root)))
    assert.equal(freedBytes(dry), freedBytes(outcome))
  })
}

test('garbage-collect -m frees what registry 3 frees, but keeps what was untagged in the trash for the grace', async (t) => {
  const old = requireOld(t, '3')
  if (!old) return
  const root = await fillAndDelete(t, old, 50_000)
  const copy = copyOf(t, root)
  await old.collectGarbage(copy, '-m')
  const outcome = await collect(t, root, '-m')
  assert.equal(outcome.code, 0, outcome.stdout + outcome.stderr)
  assert.match(outcome.stdout, /1 manifest moved to the trash/)
  const [left, theirs] = [blobsIn(root), blobsIn(copy)]
  assert.deepEqual(
    [...theirs.keys()].filter((blob) => !left.has(blob)),
    [],
  )
  const trashed = await runBerth(root, 'trash', 'list', '--json')
  const { entries } = JSON.parse(trashed.stdout) as { entries: { digest: string }[] }
  assert.equal(entries.length, 1)
  // Its manifest and its config; its layer is in use.
  assert.equal(left.size - theirs.size, 2)
  assert.ok([...left.keys()].some((blob) => blob.endsWith(entries[0]!.digest.slice(7))))
})

test('garbage-collect frees more than a tenth of all bytes only where somebody says yes', async (t) => {
  const old = requireOld(t, '2.8')
  if (!old) return
  const root = await fillAndDelete(t, old, 900_000)
  const before = blobsIn(root)
  const asked = await collect(t, root)
  assert.equal(asked.code, 3, asked.stdout + asked.stderr)
  assert.match(asked.stderr, /--yes/)
  assert.deepEqual(blobsIn(root), before)
  const agreed = await collect(t, root, '--yes')
  assert.equal(agreed.code, 0, agreed.stderr)
  assert.ok(freedBytes(agreed) > 900_000, agreed.stdout)
  assert.equal(freedBytes(agreed), total(before) - total(blobsIn(root)))
})

test('garbage-collect frees nothing that was deleted within the grace', async (t) => {
  const old = requireOld(t, '2.8')
  if (!old) return
  const root = await fillAndDelete(t, old, 50_000)
  setBack(root, 60)
  const before = blobsIn(root)
  const outcome = await collect(t, root)
  assert.equal(outcome.code, 0, outcome.stderr)
  assert.equal(freedBytes(outcome), 0)
  assert.deepEqual(blobsIn(root), before)
})
