/**
 * Where an upload stands, as its `state` says. S3 has no append and no rename, so bytes lie in one of these, and a tail
 * beside open parts where too few came for another part:
 *
 * ```
 *   nothing ──up to a part──► placed        the object is under its final key; somebody else sees to it from now on
 *      │    ──up to a part──► tail          <key>.<bytes>-<random>: the next append reads it back and goes on
 *      │
 *      └────more─────► parts ──harden──► completed at <key> ──seal──► copied to its key, or left where it is
 *                        │ ▲
 *                        └─┴─ tail          what is below the smallest part; joins as the last part
 *
 *      └────more, destination known──► parts on the final key ──seal──► completed there
 * ```
 *
 * A writer that lost its lease cannot spoil what another recorded: tails have random names, an upload that an append began
 * is its own, and parts are completed by number and ETag as recorded, so a part that was replaced makes that fail.
 * What a tail was replaced by may never be recorded, so the tail is deleted one step later (`stale`).
 */
import { randomBytes } from 'node:crypto'
import type { ObjectKey, Stage } from '../../driver.ts'

export interface Part {
  readonly number: number
  readonly size: number
  readonly etag: string
}

/** Number of the first part, size of each, their ETags. Ten thousand parts have to fit into a row. */
type Run = readonly [number, number, string]

export interface State {
  readonly multipart?: {
    readonly id: string
    /** Its key, where that is not the stage's: completing it makes the object visible. */
    readonly destination?: ObjectKey
    readonly runs: readonly Run[]
  }
  readonly tail?: { readonly name: string; readonly size: number }
  readonly placed?: { readonly key: ObjectKey; readonly size: number }
  readonly stale?: readonly string[]
  /** A multipart upload on a final key that an append began and has not ended: to be aborted. */
  readonly begun?: { readonly id: string; readonly key: ObjectKey }
}

export const stateOf = (stage: Stage): State => (stage.state ?? {}) as State

export function stageWith({ key }: Stage, state: State): Stage {
  const size = recordedSize(state)
  const isEmpty = Object.keys(state).length === 0
  return isEmpty ? { key, size } : { key, size, state }
}

export const recordedSize = ({ multipart, tail, placed }: State): number =>
  (placed?.size ?? 0) + (tail?.size ?? 0) + (multipart ? sizeOf(partsIn(multipart.runs)) : 0)

export const sizeOf = (parts: readonly Part[]): number => parts.reduce((sum, { size }) => sum + size, 0)

export const newTailName = (size: number): string => `${size}-${randomBytes(8).toString('hex')}`

export const tailKey = ({ key }: Stage, name: string): ObjectKey => `${key}.${name}` as ObjectKey

/** The stage that a key in the bucket belongs to. */
export const stageKeyOf = (key: ObjectKey): ObjectKey => key.replace(/\.\d+-[0-9a-f]{16}$/, '') as ObjectKey

export function runsOf(parts: readonly Part[]): readonly Run[] {
  const runs: { first: number; size: number; etags: string[] }[] = []
  for (const { number, size, etag } of parts) {
    const last = runs.at(-1)
    if (last && last.size === size && number === last.first + last.etags.length) last.etags.push(pack(etag))
    else runs.push({ first: number, size, etags: [pack(etag)] })
  }
  return runs.map(({ first, size, etags }) => [first, size, etags.join(' ')])
}

export function partsIn(runs: readonly Run[]): readonly Part[] {
  return runs.flatMap(([first, size, etags]) =>
    etags.split(' ').map((packed, index) => ({ number: first + index, size, etag: unpack(packed) })),
  )
}

const md5 = /^"[0-9a-f]{32}"$/

/** Nearly always an MD5 in hex between quotes, which base64 shortens by a third. */
function pack(etag: string): string {
  return md5.test(etag) ? Buffer.from(etag.slice(1, -1), 'hex').toString('base64url') : `=${encodeURIComponent(etag)}`
}

function unpack(packed: string): string {
  if (packed.startsWith('=')) return decodeURIComponent(packed.slice(1))
  return `"${Buffer.from(packed, 'base64url').toString('hex')}"`
}
