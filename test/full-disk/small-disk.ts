/**
 * A disk of some megabytes in an image file, and ways to fill it. It is mounted in a namespace that ends with its first
 * process, so that nothing of it stays, however a test ends.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findTool, tool } from '../support/tools.ts'

const execute = promisify(execFile)
const mebibyte = 2 ** 20
const megabytes = 96
const namespaces = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--mount-proc', '--']

export interface SmallDisk {
  readonly root: string
  free(): number
  /** Another program takes all there is, to the last block. */
  fill(): void
  /** And gives it back. */
  empty(): void
}

/** Why no disk can be mounted here, where none can. */
export function whyNoDisk(): string | undefined {
  if (process.platform !== 'linux') return 'it needs Linux'
  if (process.getuid?.() !== 0) return 'it needs root, to mount a file system'
  const missing = ['unshare', 'mount', 'mkfs.ext4'].filter((name) => findTool(name) === undefined)
  if (missing.length > 0) return `${missing.join(', ')} not found`
  const { status, stderr } = spawnSync(tool('unshare'), [...namespaces, 'true'], { encoding: 'utf8' })
  return status === 0 ? undefined : `namespaces may not be made: ${stderr.trim()}`
}

/** A program of Node's in namespaces of its own. They end with it, and it ends with this process. */
export function startInside(args: readonly string[], folder: string): ChildProcess {
  return spawn(tool('unshare'), [...namespaces, process.execPath, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: folder },
  })
}

/** Where an image file cannot be mounted, memory is the disk. */
export async function mountSmallDisk(folder: string): Promise<SmallDisk> {
  const [image, point] = [join(folder, 'small.img'), join(folder, 'small')]
  fs.mkdirSync(point)
  fs.writeFileSync(image, '')
  fs.truncateSync(image, megabytes * mebibyte)
  // Without blocks that only root may use: the tests are root.
  await execute(tool('mkfs.ext4'), ['-q', '-m', '0', '-b', '4096', image])
  await execute(tool('mount'), ['-o', 'loop,noatime', image, point]).catch(() =>
    execute(tool('mount'), ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', point]),
  )
  const filler = join(point, 'of-another-program')
  return {
    root: join(point, 'root'),
    free: () => {
      const { bavail, bsize } = fs.statfsSync(point)
      return bavail * bsize
    },
    fill: () => fillUp(filler),
    empty: () => fs.rmSync(filler, { force: true }),
  }
}

function fillUp(path: string): void {
  const file = fs.openSync(path, 'a')
  try {
    for (const size of [mebibyte, 4096, 1]) writeAll(file, size)
    fs.fsyncSync(file)
    for (const size of [4096, 1]) writeAll(file, size)
  } finally {
    fs.closeSync(file)
  }
}

function writeAll(file: number, size: number): void {
  const piece = Buffer.alloc(size, 'x')
  try {
    while (fs.writeSync(file, piece) === size);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  }
}
