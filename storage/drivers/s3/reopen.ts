/** What an append begins with: the recorded stage, as far as the store still has it in a form that can grow. */

import type { ObjectKey, Stage } from '../../driver.ts'
import { StageLost } from '../../driver.ts'
import type { Bucket } from './bucket.ts'
import { copyParts } from './copy.ts'

import { abort, create, isOpen, type Multipart } from './multipart.ts'
import { find, remove } from './objects.ts'
import { type Part, partsIn, recordedSize, type State, sizeOf, stateOf, tailKey } from './stage.ts'

/** Bytes of the stage that lie in a small object: they are the beginning of the next part. */
export interface Base {
  readonly key: ObjectKey
  readonly size: number
}

export interface Reopened {
  readonly multipart?: Multipart | undefined
  readonly parts: readonly Part[]
  readonly base?: Base | undefined
  readonly tail?: State['tail']
  readonly stale: readonly string[]
}

export async function reopen(bucket: Bucket, stage: Stage): Promise<Reopened> {
  const state = stateOf(stage)
  await clearBehind(bucket, stage, state)
  if (stage.size === 0) return { parts: [], stale: [] }
  if (stage.size > recordedSize(state))
    throw new StageLost(`${stage.key} is shorter than the upload that it belongs to`)
  const { multipart, tail, placed } = state
  if (multipart) return reopenParts(bucket, stage, { ...state, multipart })
  const key = placed?.key ?? (tail && tailKey(stage, tail.name))
  // Less than what is there counts where a later append was not recorded.
  return { parts: [], stale: [], tail, ...(key && { base: { key, size: stage.size } }) }
}

/** This stage is the recorded one: what it replaced is not needed any more. */
async function clearBehind(bucket: Bucket, stage: Stage, { stale = [], begun }: State): Promise<void> {
  const removals = stale.map((name) => remove(bucket, tailKey(stage, name)))
  await Promise.allSettled([...removals, ...(begun ? [abort(bucket, begun)] : [])])
}

async function reopenParts(
  bucket: Bucket,
  stage: Stage,
  { multipart: { id, destination, runs }, tail }: State & { readonly multipart: NonNullable<State['multipart']> },
): Promise<Reopened> {
  const parts = partsIn(runs)
  const size = sizeOf(parts)
  const multipart = { key: destination ?? stage.key, id }
  if (stage.size < size) throw new StageLost(`parts of ${stage.key} cannot be cut at byte ${stage.size}`)
  if (await isOpen(bucket, multipart)) {
    const base = tail && stage.size > size && { key: tailKey(stage, tail.name), size: stage.size - size }
    return { multipart, parts, stale: [], ...(tail && { tail }), ...(base && { base }) }
  }
  return reopenCompleted(bucket, stage, multipart.key, tail)
}

/** Completed by `harden` or `reread`: the object becomes the first part of another upload. */
async function reopenCompleted(bucket: Bucket, stage: Stage, key: ObjectKey, tail: State['tail']): Promise<Reopened> {
  const found = await find(bucket, key)
  if (found?.size !== stage.size) throw new StageLost(`the upload at ${key} is gone from the store`)
  const multipart = await create(bucket, stage.key)
  const parts = await copyParts(bucket, found, multipart)
  return { multipart, parts, stale: tail ? [tail.name] : [] }
}
