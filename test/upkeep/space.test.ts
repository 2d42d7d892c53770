import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Failure, isFailure } from '../../oci/failure.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { layout } from '../../storage/layout.ts'
import type { SpaceStatus } from '../../upkeep/operations.ts'
import { type SpaceParts, type SpaceWatch, tellingWhenFull, watchSpace } from '../../upkeep/space.ts'

const mebibyte = 2 ** 20
const gibibyte = 2 ** 30

interface Watched {
  readonly space: SpaceWatch
  readonly driver: MemoryDriver
  readonly changes: SpaceStatus[]
  looks: number
  free: number
}

async function watch(free: number, changes: Partial<SpaceParts> = {}, total = 100 * gibibyte): Promise<Watched> {
  const driver = new MemoryDriver()
  const told: SpaceStatus[] = []
  const state = { free, looks: 0 }
  const space = await watchSpace({
    driver: Object.assign(driver, {
      space: async () => {
        state.looks++
        return { free: state.free, total }
      },
    }),
    reserve: 'auto',
    onChange: (status) => void told.push(status),
    onError: (error) => assert.fail(String(error)),
    lookEveryMs: 5,
    ballastAfterMs: 1_000_000,
    ...changes,
  })
  return Object.assign(state, { space, driver, changes: told })
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await isSo()); tries++) {
    assert.ok(tries < 400, 'it never came')
    await delay(5)
  }
}

const refuses = (space: SpaceWatch, bytes?: number): boolean => {
  try {
    space.refuseIfLow(bytes)
    return false
  } catch (error) {
    assert.ok(isFailure(error, 'storage-full'))
    return true
  }
}

describe('the reserve', () => {
  test('is a twentieth of the volume, and at most a gibibyte', async (t) => {
    const large = await watch(50 * gibibyte)
    const small = await watch(gibibyte, {}, 10 * gibibyte)
    t.after(() => Promise.all([large.space.close(), small.space.close()]))
    assert.equal((await large.space.status())?.reserve, gibibyte)
    assert.equal((await small.space.status())?.reserve, Math.floor(gibibyte / 2))
  })

  test('of nothing refuses pushes only where deletions would have no room', async (t) => {
    for (const [free, isRefused] of [
      [1, true],
      [100 * mebibyte, false],
    ] as const) {
      const { space } = await watch(free, { reserve: 0 })
      t.after(() => space.close())
      assert.equal(refuses(space), isRefused, `${free} bytes are free`)
    }
  })

  test('is kept from the first moment on, and pushes are taken again by themselves', async (t) => {
    const watched = await watch(100 * mebibyte, { reserve: 200 * mebibyte })
    const { space, changes } = watched
    t.after(() => space.close())
    assert.equal(refuses(space), true)
    watched.free = 300 * mebibyte
    await until(() => !space.low)
    assert.equal(refuses(space), false)
    assert.deepEqual(
      changes.map(({ low }) => low),
      [true, false],
    )
  })

  test('is missed while somebody writes', async (t) => {
    const watched = await watch(300 * mebibyte, { reserve: 200 * mebibyte })
    t.after(() => watched.space.close())
    assert.equal(refuses(watched.space), false)
    watched.free = 100 * mebibyte
    await until(() => refuses(watched.space))
  })

  test('refuses at once what is announced to be larger than the room above it', async (t) => {
    const { space } = await watch(300 * mebibyte, { reserve: 200 * mebibyte })
    t.after(() => space.close())
    assert.equal(refuses(space, 101 * mebibyte), true)
    assert.equal(refuses(space, 99 * mebibyte), false)
  })

  test('is looked at only while somebody writes', async (t) => {
    const watched = await watch(50 * gibibyte)
    t.after(() => watched.space.close())
    await delay(50)
    assert.equal(watched.looks, 1)
    const end = watched.space.watch(() => {})
    await until(() => watched.looks > 2)
    end()
    const before = watched.looks
    await delay(50)
    assert.ok(watched.looks <= before + 1)
  })

  test('calls those who write, again and again, until they stop', async (t) => {
    const watched = await watch(300 * mebibyte, { reserve: 200 * mebibyte })
    t.after(() => watched.space.close())
    let calls = 0
    const end = watched.space.watch(() => calls++)
    watched.free = 100 * mebibyte
    await until(() => calls > 1)
    end()
    const before = calls
    await delay(30)
    assert.equal(calls, before)
  })

  test('is nobody where the volume has no limit', async (t) => {
    const space = await watchSpace({
      driver: new MemoryDriver(),
      reserve: 'auto',
      onChange: () => assert.fail(),
      onError: (error) => assert.fail(String(error)),
    })
    t.after(() => space.close())
    assert.equal(refuses(space, gibibyte), false)
    assert.equal(await space.status(), undefined)
  })
})

describe('what is kept back', () => {
  const isKept = async ({ driver }: Watched) => (await driver.stat(layout.reserve)) !== undefined

  test('takes room where there is plenty, and bytes that cannot be compressed', async (t) => {
    const watched = await watch(50 * gibibyte, { ballastAfterMs: 1 })
    t.after(() => watched.space.close())
    await until(() => isKept(watched))
    assert.equal((await watched.driver.stat(layout.reserve))?.size, 16 * mebibyte)
  })

  test('is a small part of a small volume', async (t) => {
    const watched = await watch(60 * mebibyte, { ballastAfterMs: 1, reserve: 0 }, 64 * mebibyte)
    t.after(() => watched.space.close())
    await until(() => isKept(watched))
    assert.equal((await watched.driver.stat(layout.reserve))?.size, mebibyte)
  })

  test('is not made where there is little room', async (t) => {
    const watched = await watch(20 * mebibyte, { ballastAfterMs: 1, reserve: 0 })
    t.after(() => watched.space.close())
    await until(() => watched.looks > 1)
    assert.equal(await isKept(watched), false)
  })

  test('is let go when the volume is nearly full, and made again when there is room', async (t) => {
    const watched = await watch(50 * gibibyte, { ballastAfterMs: 1 })
    t.after(() => watched.space.close())
    await until(() => isKept(watched))
    watched.free = mebibyte
    watched.space.watch(() => {})
    await until(async () => !(await isKept(watched)))
    watched.free = 50 * gibibyte
    await until(() => isKept(watched))
  })

  test('is let go when a transaction finds no room', async (t) => {
    const watched = await watch(50 * gibibyte, { ballastAfterMs: 1 })
    t.after(() => watched.space.close())
    await until(() => isKept(watched))
    watched.free = 12 * mebibyte
    const full = { write: () => Promise.reject(new Failure('storage-full', {})) }
    const facts = tellingWhenFull(full as never, watched.space)
    await assert.rejects(
      facts.write(async () => {}),
      (error) => isFailure(error, 'storage-full'),
    )
    await until(async () => !(await isKept(watched)))
  })
})
