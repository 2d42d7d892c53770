/** Where the server of a root takes orders. A socket's path may have 107 bytes; a longer one is reached by its folder. */
import fs from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { layout } from '../../storage/layout.ts'

/** `sun_path` of Linux (`unix(7)`), without the byte that ends it. */
const longestPath = 107

export interface SocketPath {
  /** To listen at, or to connect to. */
  readonly path: string
  /** Only after it has served its purpose. */
  close(): void
}

/** Fails where there is no such folder. */
export function socketPathIn(root: string): SocketPath {
  const path = join(root, layout.control)
  if (Buffer.byteLength(path) <= longestPath) return { path, close: () => {} }
  const folder = fs.openSync(dirname(path), fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)
  return { path: `/proc/self/fd/${folder}/${basename(path)}`, close: () => fs.closeSync(folder) }
}
