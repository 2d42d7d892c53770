/**
 * A disk with a page cache, told by the calls that were made on it. What a call did is pending until a sync that began
 * after it has ended:
 *
 * ```
 * write, truncate        of a file           until fsync or fdatasync of that file
 * create, mkdir, rename  names in a folder   until fsync of that folder; a rename is pending in both, each for itself
 * all of it                                  until syncfs
 * ```
 *
 * A crash keeps everything that is durable, and of what is pending whatever it likes: this, that, half of a write, or a
 * file's new length without its bytes. So the model is harder than any real file system, where names are journalled.
 */
import { basename, dirname } from 'node:path'
import { type Call, numberFromEnd, pathAt } from './parse-trace.ts'

export interface Inode {
  readonly folder: boolean
  /** Where it was made. */
  readonly path: string
  readonly changes: Change[]
}

interface Pending {
  readonly index: number
  readonly inode: Inode
  readonly begin: number
  readonly end: number
  /** Those that make it durable, in their order. */
  readonly syncs: Sync[]
}

export type Change = Pending &
  (
    | { readonly kind: 'data'; readonly offset: number; readonly bytes: Buffer }
    | { readonly kind: 'length'; readonly length: number }
    | { readonly kind: 'name'; readonly name: string; readonly to: Inode | undefined }
  )

export interface Sync {
  readonly index: number
  readonly call: string
  readonly path: string
  readonly thread: string
  readonly begin: number
  readonly end: number
}

export interface Disk {
  readonly root: Inode
  readonly changes: readonly Change[]
  readonly syncs: readonly Sync[]
  /** Threads that write SQLite's files: what they sync, SQLite asked for. */
  readonly databaseThreads: ReadonlySet<string>
}

interface Model extends Disk {
  readonly rootPath: string
  readonly changes: Change[]
  readonly syncs: Sync[]
  readonly databaseThreads: Set<string>
  /** The names as the running system sees them. */
  readonly names: Map<string, Inode>
  /** Of descriptors: one process writes, its number says which. */
  readonly positions: Map<number, number>
}

/** What calls on `rootPath`, which was an empty folder before them, mean to the disk. */
export function modelDisk(calls: readonly Call[], rootPath: string): Disk {
  const root: Inode = { folder: true, path: '', changes: [] }
  const model: Model = {
    root,
    rootPath,
    changes: [],
    syncs: [],
    databaseThreads: new Set(),
    names: new Map([[rootPath, root]]),
    positions: new Map(),
  }
  for (const call of calls) {
    if (call.result < 0) continue
    const apply = effects[call.name]
    if (apply) apply(model, call)
    else refuseUnknown(model, call)
  }
  return model
}

/** A call that the model does not know must not touch the folder, or the model is wrong from then on. */
function refuseUnknown(model: Model, call: Call): void {
  if (call.name === 'accept4') return
  const named = call.texts.some((text) => isInside(model, text.toString()))
  if (named || isInside(model, call.target)) throw new Error(`the model does not know ${call.name}`)
}

const effects: Readonly<Record<string, (model: Model, call: Call) => void>> = {
  openat: openFile,
  mkdir: makeFolder,
  mkdirat: makeFolder,
  write: (model, call) => writeData(model, call, nextPosition(model, call)),
  writev: (model, call) => writeData(model, call, nextPosition(model, call)),
  pwrite64: (model, call) => writeData(model, call, numberFromEnd(call, 0)),
  pwritev: (model, call) => writeData(model, call, numberFromEnd(call, 0)),
  ftruncate: (model, call) => setLength(model, call, call.target),
  truncate: (model, call) => setLength(model, call, pathAt(call, 0)),
  rename: moveName,
  unlink: removeName,
  unlinkat: removeName,
  rmdir: removeName,
  fsync: sync,
  fdatasync: sync,
  syncfs: sync,
}

/** Bytes in one write: nothing else that is recorded comes near it. */
const keptBack = 1024 * 1024

/** What only a running process needs is left out: SQLite makes it anew after a crash. */
function isInside({ rootPath }: Model, path: string | undefined): path is string {
  if (path === undefined || path.endsWith('-shm')) return false
  return path === rootPath || path.startsWith(`${rootPath}/`)
}

function known({ names }: Model, path: string): Inode {
  const inode = names.get(path)
  if (!inode) throw new Error(`the model does not know ${path}`)
  return inode
}

function addChange({ changes }: Model, call: Call, inode: Inode, change: object): void {
  const { begin, end } = call
  const pending = { index: changes.length, inode, begin, end, syncs: [], ...change } as unknown as Change
  changes.push(pending)
  inode.changes.push(pending)
}

function setName(model: Model, call: Call, path: string, to: Inode | undefined): void {
  addChange(model, call, known(model, dirname(path)), { kind: 'name', name: basename(path), to })
  if (to) model.names.set(path, to)
  else model.names.delete(path)
}

function newInode({ rootPath }: Model, path: string, folder: boolean): Inode {
  return { folder, path: path.slice(rootPath.length + 1), changes: [] }
}

function openFile(model: Model, call: Call): void {
  const path = pathAt(call, 0)
  if (!isInside(model, path)) return
  model.positions.set(call.result, 0)
  const found = model.names.get(path)
  if (!found && call.text.includes('O_CREAT')) setName(model, call, path, newInode(model, path, false))
  else if (found && call.text.includes('O_TRUNC')) addChange(model, call, found, { kind: 'length', length: 0 })
}

function makeFolder(model: Model, call: Call): void {
  const path = pathAt(call, 0)
  if (isInside(model, path)) setName(model, call, path, newInode(model, path, true))
}

function nextPosition({ positions }: Model, call: Call): number {
  const descriptor = Number.parseInt(call.text, 10)
  const position = positions.get(descriptor) ?? 0
  positions.set(descriptor, position + call.result)
  return position
}

function writeData(model: Model, call: Call, offset: number): void {
  if (!isInside(model, call.target)) return
  const inode = known(model, call.target)
  // The file that keeps space back: only that it is there matters, and it would make every state sixteen megabytes.
  if (call.result >= keptBack) return
  if (call.shortened) throw new Error(`the trace does not show all that was written to ${call.target}`)
  if (inode.path.startsWith('berth/berth.db')) model.databaseThreads.add(call.thread)
  addChange(model, call, inode, { kind: 'data', offset, bytes: Buffer.concat(call.texts).subarray(0, call.result) })
}

function setLength(model: Model, call: Call, path: string | undefined): void {
  if (!isInside(model, path)) return
  addChange(model, call, known(model, path), { kind: 'length', length: numberFromEnd(call, 0) })
}

function moveName(model: Model, call: Call): void {
  const from = pathAt(call, 0)
  if (!isInside(model, from)) return
  const inode = known(model, from)
  if (inode.folder) throw new Error(`the model moves no folders: ${from}`)
  setName(model, call, pathAt(call, 1), inode)
  setName(model, call, from, undefined)
}

function removeName(model: Model, call: Call): void {
  const path = pathAt(call, 0)
  if (isInside(model, path)) setName(model, call, path, undefined)
}

function sync(model: Model, call: Call): void {
  if (!isInside(model, call.target)) return
  const { name, target, thread, begin, end } = call
  const inode = known(model, target)
  const path = target.slice(model.rootPath.length + 1)
  const made: Sync = { index: model.syncs.length, call: name, path, thread, begin, end }
  model.syncs.push(made)
  const covered = name === 'syncfs' ? model.changes : inode.changes
  for (const change of covered) if (change.end < begin) change.syncs.push(made)
}

/** When this became durable, were these syncs never made. */
export function durableAt({ syncs }: Change, without: ReadonlySet<Sync> = new Set()): number {
  let first = Number.POSITIVE_INFINITY
  for (const each of syncs) if (each.end < first && !without.has(each)) first = each.end
  return first
}
