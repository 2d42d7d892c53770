/** A volume that two registries serve in turn. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { image } from '../support/image.ts'
import { runBerth, type ServedBerth, serveBerth, untilAdopted } from './berth-command.ts'
import { assertSame, takeCensus, withAll } from './census.ts'
import { names } from './fill.ts'
import { fillWith } from './filled-volume.ts'
import { createFiller, type Filler, type Pushed } from './filler.ts'
import { type OldProgram, oldVersions, requireOld } from './old-registry.ts'

/** A volume that Berth has read, and written to. */
async function prepare(t: TestContext, old: OldProgram) {
  const { root, pushed } = await fillWith(t, old)
  const berth = await serveBerth(t, root)
  await untilAdopted(berth)
  const filler = createFiller(berth.client, berth.url, pushed)
  await filler.push(names.app, image(), 'berth', 'latest')
  await filler.push('new/of-berth', image(), 'v1')
  await filler.push('new/deleted-by-old', image(), 'v1')
  const census = await takeCensus(berth.client, pushed)
  await berth.stop()
  return { root, pushed, census }
}

/** New tags, moved tags, deleted manifests and tags, a new repository. */
async function write(old: OldProgram, root: string, pushed: Pushed, round: string): Promise<readonly string[]> {
  const registry = await old.serve(root)
  const filler = createFiller(registry.client, registry.url, pushed)
  await changeAsOld(filler, old, round)
  const census = withAll(await takeCensus(registry.client, pushed))
  await registry.stop()
  return census
}

async function changeAsOld(filler: Filler, { version }: OldProgram, round: string): Promise<void> {
  const { pushed } = filler
  const moved = await filler.push(names.app, image(), round, 'latest')
  await filler.tag(names.app, moved, 'v1')
  const digests = [...(pushed.manifests.get('new/deleted-by-old') ?? [])]
  await filler.remove('new/deleted-by-old', digests.at(-1) ?? '')
  await filler.push('new/deleted-by-old', image(), round)
  await filler.push(`new/of-${round}`, image(), 'v1')
  if (version === '3') await filler.remove('library/many', round === 'first' ? 't3' : 't4')
}

for (const version of oldVersions) {
  test(`what registry ${version} changed is taken over, without a release and after one`, async (t) => {
    const old = requireOld(t, version)
    if (!old) return
    const { root, pushed } = await prepare(t, old)
    const census = await write(old, root, pushed, 'first')
    const berth = await serveBerth(t, root)
    await untilSame(berth, pushed, census)
    const told = berth
      .output()
      .split('\n')
      .filter((line) => line.includes('another program changed this repository'))
    const missing = [names.app, 'new/deleted-by-old', 'new/of-first'].filter((name) => !told.join().includes(name))
    assert.deepEqual(missing, [])
    assert.doesNotMatch(told.join(), /library\/signed|new\/of-berth/)
    await berth.stop()
    const registry = await old.serve(root)
    assertSame(withAll(await takeCensus(registry.client, pushed)), census)
    await registry.stop()

    const { code, stderr } = await runBerth(root, 'release')
    assert.equal(code, 0, stderr)
    const changed = await write(old, root, pushed, 'second')
    const again = await serveBerth(t, root)
    await untilAdopted(again)
    assert.match(again.output(), /it was released/)
    assertSame(await takeCensus(again.client, pushed), changed)
  })
}

async function untilSame(berth: ServedBerth, pushed: Pushed, census: readonly string[]): Promise<void> {
  for (let left = 40; left > 0; left--) {
    const answered = new Set(await takeCensus(berth.client, pushed))
    if (answered.size === new Set(census).size && census.every((line) => answered.has(line))) return
    await sleep(250)
  }
  assertSame(await takeCensus(berth.client, pushed), census)
}
