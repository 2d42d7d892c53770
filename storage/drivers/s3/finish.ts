/** The end of an upload: one object under its key, or nothing; and what is left of those that nobody ended. */

import { type LeftStage, type ObjectKey, type Stage, StageLost } from '../../driver.ts'
import type { Bucket } from './bucket.ts'
import { copyWhole } from './copy.ts'
import { isMissing } from './errors.ts'

import { abort, complete, copyPart, isOpen, lastPartAt, listUploads, type Multipart } from './multipart.ts'
import { find, list, listNamed, put, remove } from './objects.ts'
import { readThrough } from './send.ts'
import { mebibyte } from './settings.ts'
import { type Part, partsIn, recordedSize, type State, sizeOf, stageKeyOf, stateOf, tailKey } from './stage.ts'

/** What a client can wait for to be copied. */
const largestMoved = 64 * mebibyte
/** Nobody takes so long for one upload. */
const abandonedAfterMs = 7 * 24 * 60 * 60_000

/** Makes parts one object, but not under a final key: there it would be seen. */
export async function harden(bucket: Bucket, stage: Stage): Promise<void> {
  const { multipart } = stateOf(stage)
  if (stage.size > 0 && multipart && !multipart.destination) await completeStage(bucket, stage, multipart)
}

type Recorded = NonNullable<State['multipart']>

async function completeStage(bucket: Bucket, stage: Stage, { id, destination, runs }: Recorded): Promise<void> {
  const { tail } = stateOf(stage)
  const multipart = { key: destination ?? stage.key, id }
  const parts = partsIn(runs)
  const last = tail && (await joinTail(bucket, stage, multipart, parts, tail))
  if (last !== 'completed') await complete(bucket, multipart, last ? [...parts, last] : parts)
}

/** The tail as the last part, which may be small. */
async function joinTail(
  bucket: Bucket,
  stage: Stage,
  multipart: Multipart,
  parts: readonly Part[],
  { name, size }: NonNullable<State['tail']>,
): Promise<Part | 'completed'> {
  const from = { key: tailKey(stage, name), range: { start: 0, end: size - 1 }, isWhole: true }
  try {
    return await copyPart(bucket, multipart, (parts.at(-1)?.number ?? 0) + 1, from)
  } catch (error) {
    const found = await find(bucket, multipart.key)
    if (found?.size === sizeOf(parts) + size) return 'completed'
    throw error
  }
}

/** Where the object is: at `key`, or still at the stage's where copying it takes too long. */
export async function seal(bucket: Bucket, stage: Stage, key: ObjectKey): Promise<ObjectKey> {
  const state = stateOf(stage)
  const { multipart, tail, placed, stale = [] } = state
  const behind = [...stale, ...(tail ? [tail.name] : [])].map((name) => tailKey(stage, name))
  if (stage.size === 0) await put(bucket, key, new Uint8Array())
  else if (placed) await sealPlaced(bucket, stage, placed.key, key)
  else if (multipart?.destination) await sealThere(bucket, stage, multipart, key)
  else if (multipart) {
    if (stage.size > largestMoved) return clear(bucket, behind, stage.key)
    await bring(bucket, stage.key, key)
    behind.push(stage.key)
  } else if (tail) await bring(bucket, tailKey(stage, tail.name), key)
  else throw new Error(`there is no upload at ${stage.key}`)
  return clear(bucket, behind, key)
}

/** What an earlier attempt has moved already is not there any more. */
async function bring(bucket: Bucket, from: ObjectKey, key: ObjectKey): Promise<void> {
  try {
    await copyWhole(bucket, from, key)
  } catch (error) {
    const isGone = isMissing(error) || (error instanceof Error && isMissing(error.cause))
    throw isGone ? new StageLost(`there is nothing at ${from} any more`, { cause: error }) : error
  }
}

/** It was named all the while; whether somebody deleted it all the same is looked at before anybody relies on it. */
async function sealPlaced(bucket: Bucket, stage: Stage, from: ObjectKey, key: ObjectKey): Promise<void> {
  if ((await find(bucket, from))?.size !== stage.size) throw new StageLost(`what was stored at ${from} is not there`)
  if (from !== key) await copyWhole(bucket, from, key)
}

async function sealThere(bucket: Bucket, stage: Stage, multipart: Recorded, key: ObjectKey): Promise<void> {
  if (multipart.destination !== key)
    throw new Error(`the upload was sent to ${multipart.destination} and not to ${key}`)
  await completeStage(bucket, stage, multipart)
}

/** What cannot be removed now is found by `staged`. */
async function clear(bucket: Bucket, keys: readonly ObjectKey[], sealed: ObjectKey): Promise<ObjectKey> {
  await Promise.allSettled(keys.map((key) => remove(bucket, key)))
  return sealed
}

export async function reread(bucket: Bucket, stage: Stage, observe: (piece: Uint8Array) => void): Promise<void> {
  if (stage.size === 0) return
  const { multipart, tail, placed } = stateOf(stage)
  if (multipart?.destination) throw new StageLost(`what was sent to ${multipart.destination} cannot be read back`)
  await harden(bucket, stage)
  const key = multipart ? stage.key : (placed?.key ?? (tail && tailKey(stage, tail.name)))
  if (!key) throw new StageLost(`there is no upload at ${stage.key}`)
  await readThrough(bucket, { key }, { start: 0, end: stage.size - 1 }, (piece) => void observe(piece))
}

/** Asks the store whether it still has what was recorded: rules of a bucket may clear unfinished uploads away. */
export async function inspect(bucket: Bucket, stage: Stage): Promise<Stage> {
  const state = stateOf(stage)
  const size = Math.min(stage.size, recordedSize(state))
  if (size === 0 || !(await isThere(bucket, stage, state))) return { key: stage.key, size: 0 }
  return size === stage.size ? stage : { ...stage, size }
}

async function isThere(bucket: Bucket, stage: Stage, { multipart, tail, placed }: State): Promise<boolean> {
  if (multipart) {
    const key = multipart.destination ?? stage.key
    if (await isOpen(bucket, { key, id: multipart.id })) return true
    return (await find(bucket, key))?.size === recordedSize({ multipart, ...(tail && { tail }) })
  }
  const key = placed?.key ?? (tail && tailKey(stage, tail.name))
  return key !== undefined && (await find(bucket, key))?.size === (placed?.size ?? tail?.size)
}

/** Everything at the stage's key and beside it, whoever put it there; never what lies under a final key. */
export async function discard(bucket: Bucket, stage: Stage): Promise<void> {
  const { multipart, begun } = stateOf(stage)
  const open: Multipart[] = []
  if (multipart?.destination) open.push({ key: multipart.destination, id: multipart.id })
  if (begun) open.push(begun)
  const start = bucket.nameOf(stage.key)
  for await (const each of listUploads(bucket, start)) if (stageKeyOf(each.key) === stage.key) open.push(each)
  await Promise.all(open.map((each) => abort(bucket, each)))
  const keys: ObjectKey[] = []
  for await (const { key } of listNamed(bucket, start)) if (stageKeyOf(key) === stage.key) keys.push(key)
  await Promise.all(keys.map((key) => remove(bucket, key)))
}

export async function* staged(bucket: Bucket, prefix: ObjectKey): AsyncIterable<LeftStage> {
  const left = new Map<ObjectKey, { size: number; modifiedAt: number }>()
  const add = (key: ObjectKey, size: number, modifiedAt: number): void => {
    const known = left.get(key) ?? { size: 0, modifiedAt: 0 }
    left.set(key, { size: known.size + size, modifiedAt: Math.max(known.modifiedAt, modifiedAt) })
  }
  for await (const each of listUploads(bucket, bucket.nameOf(`${prefix}/` as ObjectKey))) {
    add(stageKeyOf(each.key), 0, Math.max(each.begunAt, await lastPartAt(bucket, each)))
  }
  for await (const { key, size, modifiedAt } of list(bucket, prefix)) add(stageKeyOf(key), size, modifiedAt)
  for (const [key, { size, modifiedAt }] of left) yield { stage: { key, size }, modifiedAt }
}

/** Uploads to final keys whose upload nobody remembers: they cost money and no list shows them. */
export async function sweep(bucket: Bucket, prefix: ObjectKey, now: number): Promise<void> {
  for await (const each of listUploads(bucket, bucket.nameOf(`${prefix}/` as ObjectKey))) {
    if (now - each.begunAt > abandonedAfterMs) await abort(bucket, each)
  }
}
