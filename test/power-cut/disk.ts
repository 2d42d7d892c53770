/**
 * Disks whose power can be cut. Berth's volume lies on a file system in an image file, and that file on another one that
 * can clone a file at one instant. A clone holds what was submitted to the disk until then and nothing of what was still
 * in memory, while the server goes on: that is what a power cut leaves.
 *
 * ```
 * <folder>/host.img ── XFS with reflink ── <folder>/host
 *                                          ├── 0.img ── ext4 | xfs | btrfs ── <folder>/volume       what Berth writes
 *                                          ├── 1.img ── the same ── <folder>/database               in half of the runs
 *                                          ├── 2.img    clone of 0
 *                                          └── 3.img    clone of 1 ── mounted in their places afterwards, and checked
 * ```
 *
 * Where facts and bytes share a file system, syncing one often takes the other along; where they do not, nothing does.
 * What this does not show: a disk that loses or reorders what it had accepted since the last flush.
 */
import { execFile } from 'node:child_process'
import { constants, copyFileSync } from 'node:fs'
import { mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { layout } from '../../storage/layout.ts'
import { tool } from '../support/tools.ts'

const execute = promisify(execFile)
const run = (name: string, args: readonly string[]) => execute(tool(name), args)

export const fileSystems = ['ext4', 'xfs', 'btrfs'] as const
export type FileSystem = (typeof fileSystems)[number]

const hostBytes = 6 * 1024 ** 3
const diskBytes = 512 * 1024 ** 2

/** One file system, or two. */
export interface Disks {
  readonly images: readonly string[]
  /** What Berth serves, and its database, while they are mounted. */
  readonly root: string
  readonly database: string
  mount(): Promise<void>
  unmount(): Promise<void>
  /**
   * What a power cut would leave now, bytes before facts. This process stands still meanwhile; another one that serves
   * two disks must have been stopped, or facts could get ahead of the bytes they rely on.
   */
  cut(): Disks
  remove(): Promise<void>
}

export interface Host {
  /** Why a file system cannot be used here, where it cannot. */
  tryOut(fileSystem: FileSystem): Promise<string | undefined>
  /** `apart`: the database has a file system of its own. */
  newDisks(fileSystem: FileSystem, options: { readonly apart: boolean }): Promise<Disks>
  close(): Promise<void>
}

/** Nothing of it outlives the mount namespace it is made in: the image's name goes at once, and its space with the mount. */
export async function openHost(folder: string): Promise<Host> {
  const image = join(folder, 'host.img')
  const point = join(folder, 'host')
  const points = [join(folder, 'volume'), join(folder, 'database')]
  await Promise.all([...[point, ...points].map((path) => mkdir(path)), allot(image, hostBytes)])
  await run('mkfs.xfs', ['-q', '-m', 'reflink=1', image])
  await run('mount', ['-o', 'loop', image, point])
  await rm(image)
  let count = 0
  const newImage = (): string => join(point, `${count++}.img`)

  async function newDisks(fileSystem: FileSystem, { apart }: { readonly apart: boolean }): Promise<Disks> {
    const images = apart ? [newImage(), newImage()] : [newImage()]
    for (const path of images) {
      await allot(path, diskBytes)
      await run(`mkfs.${fileSystem}`, ['-q', path])
    }
    return disksAt(images, points, newImage)
  }

  async function tryOut(fileSystem: FileSystem): Promise<string | undefined> {
    const disks = await newDisks(fileSystem, { apart: false })
    try {
      await disks.mount()
      await disks.unmount()
      return undefined
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    } finally {
      await disks.remove()
    }
  }

  return { newDisks, tryOut, close: () => unmount(point) }
}

function disksAt(images: readonly string[], points: readonly string[], newImage: () => string): Disks {
  const mounts = images.map((image, at) => ({ image, point: points[at] ?? '' }))
  const root = join(points[0] ?? '', 'root')
  return {
    images,
    root,
    database: images.length > 1 ? join(points[1] ?? '', 'berth.db') : join(root, layout.database),
    async mount() {
      for (const { image, point } of mounts) await run('mount', ['-o', 'loop,noatime', image, point])
    },
    async unmount() {
      for (const { point } of mounts) await unmount(point)
    },
    cut() {
      const clones = images.map((image) => ({ image, clone: newImage() }))
      for (const { image, clone } of clones) copyFileSync(image, clone, constants.COPYFILE_FICLONE_FORCE)
      return disksAt(
        clones.map(({ clone }) => clone),
        points,
        newImage,
      )
    },
    async remove() {
      for (const image of images) await rm(image, { force: true })
    },
  }
}

async function allot(path: string, bytes: number): Promise<void> {
  const file = await open(path, 'wx')
  await file.truncate(bytes)
  await file.close()
}

/** The last descriptor of a process that has just ended may still be closing. */
async function unmount(point: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await run('umount', [point])
      return
    } catch (error) {
      if (attempt === 40) throw error
      await sleep(50)
    }
  }
}
