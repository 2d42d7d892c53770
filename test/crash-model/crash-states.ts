/** What a crash can leave of a disk: for each pending change whether it was kept, and the files that come of it. */
import { createHash } from 'node:crypto'
import { type Change, type Disk, durableAt, type Inode, type Sync } from './disk-model.ts'

/** `length`: the file is as long as the write made it, and holds zeros. `torn`: some blocks of it, others not. */
export type Outcome = 'kept' | 'lost' | 'length' | { readonly torn: 512 | 4096; readonly seed: number }

/** One way in which a crash at this moment can end. */
export interface CrashState {
  readonly at: number
  /** What became of the pending changes, for people. */
  readonly how: string
  /** Asked for pending changes only. */
  readonly outcome: (change: Change) => Outcome
}

/** Paths with the bytes of files; nothing for a folder. */
export type Files = ReadonlyMap<string, Buffer | undefined>

/** The folder after the crash; syncs of `without` are taken as never made. */
export function filesAfter(disk: Disk, { at, outcome }: CrashState, without: ReadonlySet<Sync>): Files {
  const files = new Map<string, Buffer | undefined>()
  const decide = (change: Change): Outcome | undefined => {
    if (change.begin > at) return undefined
    return durableAt(change, without) <= at ? 'kept' : outcome(change)
  }
  function visit(inode: Inode, path: string): void {
    if (!inode.folder) {
      files.set(path, contentOf(inode, decide))
      return
    }
    if (path !== '') files.set(path, undefined)
    const entries = new Map<string, Inode>()
    for (const change of inode.changes) {
      if (change.kind !== 'name' || (decide(change) ?? 'lost') === 'lost') continue
      if (change.to) entries.set(change.name, change.to)
      else entries.delete(change.name)
    }
    for (const [name, entry] of entries) visit(entry, path === '' ? name : `${path}/${name}`)
  }
  visit(disk.root, '')
  return files
}

function contentOf(inode: Inode, decide: (change: Change) => Outcome | undefined): Buffer {
  let bytes = Buffer.alloc(0)
  const grow = (length: number) => {
    if (length > bytes.length) bytes = Buffer.concat([bytes, Buffer.alloc(length - bytes.length)])
  }
  for (const change of inode.changes) {
    const outcome = decide(change)
    if (outcome === undefined || outcome === 'lost' || change.kind === 'name') continue
    if (change.kind === 'length') {
      grow(change.length)
      bytes = Buffer.from(bytes.subarray(0, change.length))
      continue
    }
    grow(change.offset + change.bytes.length)
    if (outcome === 'kept') change.bytes.copy(bytes, change.offset)
    else if (typeof outcome === 'object') copyBlocks(change, bytes, outcome)
  }
  return bytes
}

/** Half of the blocks, as the seed says. */
function copyBlocks(
  { offset, bytes: from }: Change & { readonly kind: 'data' },
  to: Buffer,
  { torn, seed }: { readonly torn: number; readonly seed: number },
): void {
  const random = randomNumbers(seed)
  for (let start = offset; start < offset + from.length; ) {
    const end = Math.min(offset + from.length, (Math.floor(start / torn) + 1) * torn)
    if (random() < 0.5) from.copy(to, start, start - offset, end - offset)
    start = end
  }
}

export function pendingAt(disk: Disk, at: number, without: ReadonlySet<Sync> = new Set()): Change[] {
  return disk.changes.filter((change) => change.begin <= at && durableAt(change, without) > at)
}

/** Nothing and everything; each thing alone, and all but it; then random ones without end. */
export function* statesAt(at: number, pending: readonly Change[], seed: number): Generator<CrashState> {
  yield { at, how: 'nothing pending was kept', outcome: () => 'lost' }
  yield { at, how: 'everything pending was kept', outcome: () => 'kept' }
  for (const one of pending) {
    yield { at, how: `of what was pending only ${told(one)}`, outcome: (each) => (each === one ? 'kept' : 'lost') }
    yield { at, how: `everything but ${told(one)}`, outcome: (each) => (each === one ? 'lost' : 'kept') }
  }
  for (let turn = 0; pending.length > 0; turn++) yield randomState(pending, { at, seed: seed + turn * 7919 })
}

/** Each thing by itself; or a disk that wrote in order up to some point, or from some point on and not yet what came before. */
const manners = ['each', 'each', 'up to', 'from'] as const

export function randomState(
  pending: readonly Change[],
  { at, seed, sure = () => undefined }: { at: number; seed: number; sure?: (change: Change) => Outcome | undefined },
): CrashState {
  const random = randomNumbers(seed)
  const chance = [0.15, 0.5, 0.85][Math.floor(random() * 3)] ?? 0.5
  const manner = manners[Math.floor(random() * manners.length)]
  const border = pending[Math.floor(random() * pending.length)]?.index ?? 0
  const choose = (change: Change): Outcome => {
    if (manner === 'each') return randomOutcome(change, chance, randomNumbers(seed * 31 + change.index))
    return change.index < border === (manner === 'up to') ? 'kept' : 'lost'
  }
  return { at, how: `at random (${manner}, ${seed})`, outcome: (change) => sure(change) ?? choose(change) }
}

function randomOutcome(change: Change, chance: number, random: () => number): Outcome {
  if (random() < chance) return 'kept'
  if (change.kind !== 'data' || random() < 0.5) return 'lost'
  if (random() < 0.3) return 'length'
  return { torn: random() < 0.5 ? 512 : 4096, seed: Math.floor(random() * 2 ** 31) }
}

export function told(change: Change): string {
  const path = change.inode.path || '.'
  if (change.kind === 'data') return `${change.bytes.length} bytes at ${change.offset} of ${path}`
  if (change.kind === 'length') return `length ${change.length} of ${path}`
  return `${change.to ? 'name' : 'removal'} of ${change.name} in ${path}`
}

export function fingerprint(files: Files): string {
  const hash = createHash('sha1')
  for (const [path, bytes] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${path}\0${bytes?.length ?? 'folder'}\0`).update(bytes ?? '')
  }
  return hash.digest('hex')
}

/** The same numbers for the same seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
