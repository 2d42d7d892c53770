/** Objects as files under one root folder. */
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import pLimit from 'p-limit'
import type {
  Appended,
  Child,
  LeftStage,
  ObjectInfo,
  ObjectKey,
  OpenObject,
  Space,
  Stage,
  StorageDriver,
  WriteOptions,
} from '../../driver.ts'
import { layout } from '../../layout.ts'
import * as calls from './calls.ts'
import { entriesOf, identityOf } from './folder.ts'
import { OpenFile } from './open-file.ts'
import { receive } from './receive.ts'

const readBufferSize = 256 * 1024
/** fsyncs at once while flushing: background work that must not take the disk from pushes. */
const flushConcurrency = 4

export class FilesystemDriver implements StorageDriver {
  readonly name = 'filesystem'
  readonly reach = 'local'
  readonly root: string
  /** Folders whose own entry is known to be durable, as they were then: another process may have removed one since. */
  private readonly durableFolders = new Map<string, string>()
  private readonly temporary: string

  constructor(root: string) {
    this.root = root
    this.temporary = join(root, 'berth/tmp')
    fs.mkdirSync(root, { recursive: true })
  }

  async stat(key: ObjectKey): Promise<ObjectInfo | undefined> {
    const found = calls.lookAt(this.pathOf(key))
    return found?.isFile() ? { key, size: found.size, modifiedAt: Math.floor(found.mtimeMs) } : undefined
  }

  async open(key: ObjectKey): Promise<OpenObject | undefined> {
    try {
      // O_NOFOLLOW: a link planted in an old volume must not lead outside. O_NONBLOCK: a FIFO must not hang the open.
      const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants
      const fd = await calls.openFile(this.pathOf(key), O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
      const found = fs.fstatSync(fd)
      if (found.isFile()) return new OpenFile(fd, found.size, key)
      fs.closeSync(fd)
      return undefined
    } catch (error) {
      if (calls.isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EISDIR', 'ENXIO')) return undefined
      throw error
    }
  }

  async write(key: ObjectKey, content: Uint8Array, options: WriteOptions = {}): Promise<void> {
    const path = this.pathOf(key)
    const durable = options.durable ?? true
    // Where writing fails first nobody waits for it any more, and its own failure must not end the process.
    options.after?.catch(() => {})
    if (!durable && writeFresh(path, content)) return
    const temporary = join(this.temporary, randomUUID())
    try {
      calls.inFolder(temporary, () => fs.writeFileSync(temporary, content, { flag: 'wx' }))
      if (durable) await calls.syncPath(temporary)
      await options.after
      this.giveName(temporary, path)
    } catch (error) {
      calls.removeFile(temporary)
      throw error
    }
    if (durable) await this.syncFolders(dirname(path))
  }

  async delete(key: ObjectKey, options: WriteOptions = {}): Promise<void> {
    const path = this.pathOf(key)
    if (!calls.removeFile(path)) return
    const left = calls.removeEmptyFolders(dirname(path), this.root)
    for (let folder = dirname(path); folder.length > left.length; folder = dirname(folder)) {
      this.durableFolders.delete(folder)
    }
    if (options.durable ?? true) await syncIfThere(left)
  }

  async *list(prefix: ObjectKey): AsyncIterable<ObjectInfo> {
    for await (const { name, kind } of entriesOf(this.pathOf(prefix))) {
      const key = `${prefix}/${name}` as ObjectKey
      if (kind === 'folder') yield* this.list(key)
      // What was deleted since the folder was read is not listed.
      const found = kind === 'object' ? await this.stat(key) : undefined
      if (found) yield found
    }
  }

  children(prefix: ObjectKey): AsyncIterable<Child> {
    return entriesOf(this.pathOf(prefix))
  }

  /** One `syncfs` of the volume serves any number of small files; without it each file and folder is synced. */
  async flush(keys: readonly ObjectKey[]): Promise<void> {
    if (await calls.syncVolume(this.root)) return
    const paths = keys.map((key) => this.pathOf(key))
    const folders = new Set(paths.flatMap((path) => foldersBetween(path, this.root)))
    const limit = pLimit(flushConcurrency)
    await Promise.all([...paths, ...folders].map((path) => limit(() => syncIfThere(path))))
  }

  async space(): Promise<Space> {
    const { bavail, blocks, bsize } = await fs.promises.statfs(this.root)
    return { free: bavail * bsize, total: blocks * bsize }
  }

  /**
   * A copied folder has another inode and birth; a snapshot of the whole volume keeps both. A file in it would not do:
   * somebody may remove a lock that a crash left.
   */
  async place(): Promise<string | undefined> {
    return identityOf(dirname(this.pathOf(layout.store)))
  }

  async begin(key: ObjectKey): Promise<Stage> {
    return { key, size: 0 }
  }

  async append(stage: Stage, bytes: Readable, observe: (piece: Uint8Array) => void): Promise<Appended> {
    const path = this.pathOf(stage.key)
    const { O_CREAT, O_RDWR, O_NOFOLLOW } = fs.constants
    const fd = calls.inFolder(path, () => fs.openSync(path, O_CREAT | O_RDWR | O_NOFOLLOW, 0o666))
    try {
      // What a dead writer left beyond the recorded size is not part of the upload.
      if (fs.fstatSync(fd).size > stage.size) fs.ftruncateSync(fd, stage.size)
      const { size, broken } = await calls.naming(stage.key, receive(bytes, fd, stage.size, observe))
      const grown = { ...stage, size: stage.size + size }
      return broken ? { stage: grown, broken } : { stage: grown }
    } finally {
      fs.closeSync(fd)
    }
  }

  async inspect(stage: Stage): Promise<Stage> {
    const size = (await this.stat(stage.key))?.size ?? 0
    return size < stage.size ? { ...stage, size } : stage
  }

  async reread(stage: Stage, observe: (piece: Uint8Array) => void): Promise<void> {
    if (stage.size === 0) return
    const fd = await calls.openFile(this.pathOf(stage.key), 'r')
    const buffer = Buffer.allocUnsafeSlow(Math.min(stage.size, readBufferSize))
    try {
      for (let position = 0; position < stage.size; ) {
        const wanted = Math.min(buffer.length, stage.size - position)
        const { bytesRead } = await calls.readAt(fd, buffer, 0, wanted, position)
        if (bytesRead === 0) throw new Error(`the upload holds ${position} bytes instead of ${stage.size}`)
        observe(buffer.subarray(0, bytesRead))
        position += bytesRead
      }
    } finally {
      fs.closeSync(fd)
    }
  }

  async harden(stage: Stage): Promise<void> {
    const path = this.pathOf(stage.key)
    if (stage.size === 0) calls.inFolder(path, () => fs.writeFileSync(path, ''))
    else if (fs.statSync(path).size > stage.size) fs.truncateSync(path, stage.size)
    await calls.syncPath(path)
  }

  async seal(stage: Stage, key: ObjectKey): Promise<ObjectKey> {
    const path = this.pathOf(key)
    this.giveName(this.pathOf(stage.key), path)
    await this.syncFolders(dirname(path))
    return key
  }

  async discard(stage: Stage): Promise<void> {
    await this.delete(stage.key, { durable: false })
  }

  async *staged(prefix: ObjectKey): AsyncIterable<LeftStage> {
    for await (const { key, size, modifiedAt } of this.list(prefix)) yield { stage: { key, size }, modifiedAt }
  }

  async sweep(): Promise<void> {
    fs.rmSync(this.temporary, { recursive: true, force: true })
  }

  async probe(): Promise<void> {
    const path = join(this.temporary, randomUUID())
    calls.inFolder(path, () => fs.writeFileSync(path, 'probe', { flag: 'wx' }))
    fs.unlinkSync(path)
  }

  async close(): Promise<void> {}

  /** Whatever stands there: a file is replaced, a folder moved aside, and so is a file where a folder belongs. */
  private giveName(from: string, path: string): void {
    const rename = () => calls.inFolder(path, () => fs.renameSync(from, path))
    try {
      rename()
    } catch (error) {
      if (!calls.isErrno(error, 'EISDIR', 'ENOTDIR', 'EEXIST', 'ENOTEMPTY')) throw error
      if (!calls.clearTheWay(path, this.root, join(this.root, layout.lost))) throw error
      rename()
    }
  }

  private pathOf(key: ObjectKey): string {
    if (key.startsWith('/') || key.split('/').includes('..')) throw new Error(`not an object key: ${key}`)
    return `${this.root}/${key}`
  }

  /**
   * An entry is durable when its folder is synced, and that folder's own entry in its parent, and so on up to the root.
   * The folder itself is not remembered: it is new with every blob, and the parents are few.
   */
  private async syncFolders(folder: string): Promise<void> {
    const toSync = [folder]
    const parents: string[] = []
    for (let each = folder; each.length > this.root.length && !this.isDurable(each); each = dirname(each)) {
      toSync.push(dirname(each))
      if (each !== folder) parents.push(each)
    }
    const identities = parents.map(identityOf)
    await Promise.all(toSync.map(calls.syncPath))
    for (const [n, each] of parents.entries()) {
      const identity = identities[n]
      if (identity !== undefined) this.durableFolders.set(each, identity)
    }
  }

  private isDurable(folder: string): boolean {
    const known = this.durableFolders.get(folder)
    return known !== undefined && known === identityOf(folder)
  }
}

function foldersBetween(path: string, root: string): string[] {
  const folders: string[] = []
  for (let folder = dirname(path); folder.length >= root.length; folder = dirname(folder)) folders.push(folder)
  return folders
}

/** Where there is nothing to replace, a file that can be written again needs no other name first. */
function writeFresh(path: string, content: Uint8Array): boolean {
  try {
    calls.inFolder(path, () => fs.writeFileSync(path, content, { flag: 'wx' }))
    return true
  } catch (error) {
    // A file, which is replaced, or something that is in the way.
    if (calls.isErrno(error, 'EEXIST', 'ENOTDIR')) return false
    throw error
  }
}

async function syncIfThere(path: string): Promise<void> {
  try {
    await calls.syncPath(path)
  } catch (error) {
    if (!calls.isErrno(error, 'ENOENT', 'ENOTDIR')) throw error
  }
}
