/**
 * System calls on a local disk. What touches only names and cached metadata (mkdir, rename, unlink, opening what was
 * just written) is called synchronously: it takes microseconds, while a trip to the thread pool costs more than the call.
 * Whatever can wait for a device (reads, writes of data, fsync) always goes through the pool.
 */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'

export const readAt = promisify(fs.read)
export const writevAt = promisify(fs.writev)
export const openFile: (path: string, flags: string | number, mode?: number) => Promise<number> = promisify(fs.open)
export const closeFile = promisify(fs.close)
const fsync = promisify(fs.fsync)

export function isErrno(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && codes.includes((error as NodeJS.ErrnoException).code ?? '')
}

/** What fails by a file's descriptor does not say which file: whoever reads the log must know. */
export async function naming<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (error instanceof Error && 'syscall' in error && !('path' in error)) Object.assign(error, { path })
    throw error
  }
}

/** Runs `work`; where a folder on the way is missing, makes it and runs `work` again. */
export function inFolder<T>(path: string, work: () => T): T {
  for (let attempt = 0; ; attempt++) {
    try {
      return work()
    } catch (error) {
      // A folder that a deletion just removed as empty may vanish between mkdir and the call: hence more than one try.
      if (attempt === 3 || !isErrno(error, 'ENOENT')) throw error
      fs.mkdirSync(dirname(path), { recursive: true })
    }
  }
}

/** Makes the file's bytes, or the folder's entries, durable. An error is final: the kernel may have dropped the pages. */
export async function syncPath(path: string): Promise<void> {
  const fd = fs.openSync(path, 'r')
  try {
    await naming(path, fsync(fd))
  } finally {
    fs.closeSync(fd)
  }
}

/**
 * Makes everything written so far to the file system that holds `path` durable, and says whether that could be done.
 * Node has no `syncfs`; coreutils' and busybox' `sync -f` is that call.
 */
export function syncVolume(path: string): Promise<boolean> {
  if (process.platform !== 'linux') return Promise.resolve(false)
  return new Promise((resolve) => execFile('sync', ['-f', path], (error) => resolve(error === null)))
}

/** What stands at `path`, a symbolic link itself and not what it leads to; nothing where there is nothing. */
export function lookAt(path: string): fs.Stats | undefined {
  try {
    return fs.lstatSync(path, { throwIfNoEntry: false })
  } catch (error) {
    if (isErrno(error, 'ENOTDIR')) return undefined
    throw error
  }
}

/** The same with every digit of inodes and times, which a double cannot hold. */
export function lookAtExactly(path: string): fs.BigIntStats | undefined {
  return fs.lstatSync(path, { bigint: true, throwIfNoEntry: false })
}

/** Removes a file and says whether it was there: a folder in its place is no file. */
export function removeFile(path: string): boolean {
  try {
    fs.unlinkSync(path)
    return true
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EISDIR')) return false
    throw error
  }
}

/**
 * Removes folders from `path` upwards as long as they are empty; returns the first that stays. Those whose name begins
 * with `_`, and the two topmost below `root`, stay even so: they are a structure and not an entry.
 */
export function removeEmptyFolders(path: string, root: string): string {
  let folder = path
  while (relative(root, folder).split('/').length > 2 && !basename(folder).startsWith('_')) {
    try {
      fs.rmdirSync(folder)
    } catch (error) {
      if (isErrno(error, 'ENOTEMPTY', 'EEXIST', 'EBUSY')) return folder
      if (!isErrno(error, 'ENOENT')) throw error
    }
    folder = dirname(folder)
  }
  return folder
}

/**
 * Moves what stands where a file or one of its folders belongs into `lost`: a folder in the file's place, or anything else
 * in a folder's. Nothing of it is deleted, for nobody knows whose it is. Says whether something was in the way.
 */
export function clearTheWay(path: string, root: string, lost: string): boolean {
  const parts = relative(root, path).split('/')
  for (let depth = 1; depth <= parts.length; depth++) {
    const place = join(root, ...parts.slice(0, depth))
    const isFolder = fs.statSync(place, { throwIfNoEntry: false })?.isDirectory() ?? false
    const isInTheWay = depth === parts.length ? isFolder : !isFolder && lookAt(place) !== undefined
    if (!isInTheWay) continue
    const aside = join(lost, randomUUID())
    inFolder(aside, () => fs.renameSync(place, aside))
    return true
  }
  return false
}
