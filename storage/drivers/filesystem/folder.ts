/** What a folder holds right now. */
import fs from 'node:fs'
import { promisify } from 'node:util'
import type { Child } from '../../driver.ts'
import { isErrno, lookAt, lookAtExactly } from './calls.ts'

/** One trip to the thread pool for a folder: `opendir` needs four, and most folders are small. */
const readFolder: (path: string, options: { withFileTypes: true }) => Promise<fs.Dirent[]> = promisify(fs.readdir)

/**
 * Nothing where there is no folder, or no longer. A name that is no UTF-8 is yielded with replacement characters, so it
 * can be told but not opened.
 */
export async function* entriesOf(path: string): AsyncIterable<Child> {
  for (const entry of await readEntries(path)) yield { name: entry.name, kind: kindOf(entry) }
}

async function readEntries(path: string): Promise<readonly fs.Dirent[]> {
  try {
    const entries = await readFolder(path, { withFileTypes: true })
    // Reading follows a link. Asked now, what stands there is in the cache of the system and this waits for no disk.
    return lookAt(path)?.isDirectory() ? entries : []
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG')) return []
    throw error
  }
}

/**
 * `f_type` of NFS, CIFS, SMB2, FUSE, 9p and virtiofs (Linux, `statfs(2)`): the number of an inode, or its birth, may be
 * another after the next mount. SQLite must know the same list for reasons of its own (`metadata/sqlite.ts`); facts and
 * bytes may lie on different volumes, and neither folder may import the other.
 */
const fleeting = new Set([0x6969, 0xff534d42, 0xfe534d42, 0x65735546, 0x01021997, 0x6a656a63])

/**
 * What tells a folder from a copy of it, and stays the same whatever is written into it; nothing where that cannot be
 * told.
 */
export function identityOf(path: string): string | undefined {
  const found = lookAtExactly(path)
  if (!found?.isDirectory() || fleeting.has(fs.statfsSync(path).type)) return undefined
  // Where the system does not know the birth, the last change is told instead, and that is another with each entry.
  if (found.birthtimeNs === found.ctimeNs) return undefined
  return `${found.ino}:${found.birthtimeNs}`
}

function kindOf(entry: fs.Dirent): Child['kind'] {
  if (entry.isDirectory()) return 'folder'
  return entry.isFile() ? 'object' : 'other'
}
