/** What happens to a registry when its disk is full, each on a small disk of its own. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type BerthProcess, startBerth } from '../support/berth-process.ts'
import type { Client } from '../support/client.ts'
import {
  type Acknowledged,
  clientOf,
  collect,
  isPushed,
  isRefusal,
  isWhole,
  name,
  noneIsTorn,
  nothingIsLeft,
  tryPush,
} from './clients.ts'
import type { SmallDisk } from './small-disk.ts'

const mebibyte = 2 ** 20

const serve = (disk: SmallDisk, reserve: string): Promise<BerthProcess> =>
  startBerth({
    root: disk.root,
    env: {
      REGISTRY_STORAGE_MAINTENANCE_RESERVE: reserve,
      REGISTRY_COLLECTOR_GRACE: '1ms',
      REGISTRY_COLLECTOR_TRASH: '0',
      REGISTRY_COLLECTOR_INTERVAL: '0',
    },
  })

/** Several clients push images of all sizes until each was refused several times. */
async function pushUntilFull(client: Client, sizes: readonly number[]): Promise<Acknowledged[]> {
  const acknowledged: Acknowledged[] = []
  let refusals = 0
  const push = async (worker: number, size: number) => {
    for (let n = 0, refused = 0; refused < 3; n++) {
      const outcome = await tryPush(client, `v${worker}-${n}`, size)
      if (isPushed(outcome)) acknowledged.push(outcome)
      else {
        isRefusal(outcome)
        refused++
        refusals++
      }
    }
  }
  await Promise.all(sizes.map((size, worker) => push(worker, size)))
  console.log(`${acknowledged.length} images pushed, ${refusals} pushes refused`)
  return acknowledged
}

/** Deletes half of them, by each of the ways, and frees their bytes. */
async function makeRoom(berth: BerthProcess, images: readonly Acknowledged[]): Promise<Acknowledged[]> {
  const client = clientOf(berth)
  const gone = images.filter((_, at) => at % 2 === 0)
  for (const [at, { tag, built }] of gone.entries()) {
    if (at % 2 === 0) await isDone(client.deleteManifest(name, tag))
    await isDone(client.deleteManifest(name, built.digest))
    await isDone(client.deleteBlob(name, built.blobs[1]?.digest ?? ''))
  }
  await collect(berth)
  for (const { tag, built } of gone) {
    assert.equal((await client.getManifest(name, tag)).status, 404)
    assert.equal((await client.headBlob(name, built.blobs[1]?.digest ?? '')).status, 404)
  }
  return images.filter((image) => !gone.includes(image))
}

async function isDone(deletion: ReturnType<Client['deleteManifest']>): Promise<void> {
  const { status, bytes } = await deletion
  assert.equal(status, 202, `${status} ${bytes}`)
}

/** Without a restart; the room is looked at once a second. */
async function pushesAgain(client: Client, tag: string): Promise<Acknowledged> {
  for (let left = 50; ; left--) {
    const outcome = await tryPush(client, tag, mebibyte)
    if (isPushed(outcome)) return outcome
    isRefusal(outcome)
    assert.ok(left > 0, 'it refuses although there is room')
    await sleep(100)
  }
}

async function allWhole(client: Client, images: readonly Acknowledged[]): Promise<void> {
  for (const image of images) await isWhole(client, image)
}

async function staysWhole(disk: SmallDisk, berth: BerthProcess, images: readonly Acknowledged[]): Promise<void> {
  await allWhole(clientOf(berth), images)
  await berth.stop()
  noneIsTorn(disk.root)
  const again = await serve(disk, '0')
  await allWhole(clientOf(again), images)
  nothingIsLeft(disk.root)
  assert.doesNotMatch(again.output(), /"level":"?(error|fatal|50|60)/)
  await again.stop()
}

async function fillByPushing(disk: SmallDisk, reserve: string, atOnce = false): Promise<void> {
  const berth = await serve(disk, reserve)
  const client = clientOf(berth)
  if (!atOnce) await untilThere(ballast(disk))
  const images = await pushUntilFull(client, [5 * mebibyte, 1_500_000, 300_000])
  assert.ok(images.length > 10)
  console.log(`${disk.free()} bytes are free`)
  await allWhole(client, images)
  const before = disk.free()
  const kept = await makeRoom(berth, images)
  assert.ok(disk.free() > before + 10 * mebibyte, `${before} bytes were free, and ${disk.free()} are`)
  kept.push(await pushesAgain(client, 'again'))
  await staysWhole(disk, berth, kept)
}

const ballast = (disk: SmallDisk): string => join(disk.root, 'berth/reserve')

async function untilThere(path: string): Promise<void> {
  for (let left = 300; !fs.existsSync(path); left--) {
    assert.ok(left > 0, `${path} does not come`)
    await sleep(100)
  }
}

async function someImages(client: Client): Promise<Acknowledged[]> {
  const images: Acknowledged[] = []
  for (let n = 0; n < 6; n++) {
    const outcome = await tryPush(client, `v${n}`, 2 * mebibyte)
    assert.ok(isPushed(outcome))
    images.push(outcome)
  }
  return images
}

async function isFull(client: Client): Promise<void> {
  for (let n = 0; n < 3; n++) {
    const outcome = await tryPush(client, `refused-${n}`, mebibyte)
    assert.ok(!isPushed(outcome))
    isRefusal(outcome)
  }
}

async function comesBack(disk: SmallDisk, berth: BerthProcess, images: readonly Acknowledged[]): Promise<void> {
  const client = clientOf(berth)
  await allWhole(client, images)
  await isFull(client)
  const kept = await makeRoom(berth, images)
  disk.empty()
  kept.push(await pushesAgain(client, 'again'))
  await staysWhole(disk, berth, kept)
}

async function filledByAnother(disk: SmallDisk): Promise<void> {
  const berth = await serve(disk, '4MiB')
  const images = await someImages(clientOf(berth))
  await untilThere(ballast(disk))
  disk.fill()
  console.log(`${disk.free()} bytes are free`)
  await comesBack(disk, berth, images)
}

/** There is nothing left to let go: all that needs room is refused, until there is some again. */
async function filledAgain(disk: SmallDisk): Promise<void> {
  const berth = await serve(disk, '4MiB')
  const client = clientOf(berth)
  const images = await someImages(client)
  await untilThere(ballast(disk))
  disk.fill()
  await isFull(client)
  for (let left = 100; fs.existsSync(ballast(disk)); left--) {
    assert.ok(left > 0, 'it keeps what it kept back')
    await sleep(100)
  }
  disk.fill()
  const kept: Acknowledged[] = []
  for (const each of images) {
    const { status, bytes, headers } = await client.deleteManifest(name, each.built.digest)
    if (status === 202) continue
    isRefusal({ status, bytes, headers })
    kept.push(each)
  }
  await isFull(client)
  await allWhole(client, kept)
  console.log(`${disk.free()} bytes are free, ${kept.length} of ${images.length} deletions refused`)
  disk.empty()
  kept.push(await pushesAgain(client, 'again'))
  await staysWhole(disk, berth, kept)
}

async function startedFull(disk: SmallDisk, end: (berth: BerthProcess) => Promise<void>): Promise<void> {
  const first = await serve(disk, '4MiB')
  const images = await someImages(clientOf(first))
  await untilThere(ballast(disk))
  await end(first)
  disk.fill()
  console.log(`${disk.free()} bytes are free`)
  await comesBack(disk, await serve(disk, '4MiB'), images)
}

/** What was kept back is used up: it says why it cannot start, and can when there is a little room. */
async function startedTooFull(disk: SmallDisk): Promise<void> {
  const first = await serve(disk, '4MiB')
  const images = await someImages(clientOf(first))
  await first.stop()
  fs.rmSync(ballast(disk))
  disk.fill()
  await assert.rejects(serve(disk, '4MiB'), /Berth cannot start.*(full|no room|space)/)
  disk.empty()
  await staysWhole(disk, await serve(disk, '4MiB'), images)
}

export const scenarios: Readonly<Record<string, (disk: SmallDisk) => Promise<void>>> = {
  'pushes fill the disk up to what is kept free': (disk) => fillByPushing(disk, '4MiB'),
  'pushes fill the disk to its end': (disk) => fillByPushing(disk, '0'),
  'another program fills the disk to the last byte': filledByAnother,
  'another program takes what was kept back, too': filledAgain,
  'a start on a full disk, after an orderly end': (disk) => startedFull(disk, (berth) => berth.stop()),
  'a start on a full disk, after a crash': (disk) => startedFull(disk, (berth) => berth.kill()),
  'pushes fill the disk right after the start': (disk) => fillByPushing(disk, '4MiB', true),
  'a start on a full disk where nothing was kept back': startedTooFull,
}
