/**
 * What pushes, deletions, the trash and two collectors do to one digest, a step at a time: a transaction is one step, and
 * so is what is done in storage. Time is not modelled: a claim may end whenever nothing it covers can still happen.
 *
 * ```
 * upload:     committing D ──► not condemned, or claim over ──► bytes ──► live + link + review ──► manifest
 * collector:  stale links go ──► unused: condemned ──► link files ──► bytes go ──► row and review go, if still mine
 * ```
 *
 * Everybody can stop after any step and leave what they had; the process can end after any step, and recovery begins.
 */
import { collect, recover } from './collector.ts'
import { type Emit, isClaimed, linkFirst, live, type Rules, review, settle, sides, trashOf, useOf } from './facts.ts'
import { headAndPut, mountAndPut, put, stopUpload, upload } from './pushes.ts'
import { get, set } from './state.ts'

/** Every step that can be taken from a state. */
export function steps(state: number, rules: Rules, emit: Emit): void {
  if (get(state, 'recovering')) recover(state, rules, emit)
  else work(state, rules, emit)
}

function work(state: number, rules: Rules, emit: Emit): void {
  if (rules.scenario === 'manifest') {
    put(state, 'pusher', 1, rules, emit)
    put(state, 'mounter', 2, rules, emit)
  } else {
    headAndPut(state, rules, emit)
    mountAndPut(state, rules, emit)
  }
  upload(state, rules, emit)
  removeAndPurge(state, rules, emit)
  restore(state, rules, emit)
  for (const side of sides) collect(state, side, rules, emit)
  takeUpUnfinished(state, rules, emit)
  passTime(state, rules, emit)
  emit('the process ends', crash(state, rules))
}

function passTime(state: number, rules: Rules, emit: Emit): void {
  if (get(state, 'file') !== get(state, 'link1')) emit('upkeep settles the link file', settle(state))
  if (get(state, 'fresh') && get(state, 'pusher') < 3 && get(state, 'uploader') !== 4) {
    emit('the grace of the link ends', set(state, 'fresh', 0))
  }
  if (!isClaimed(state)) return
  const owner = get(state, 'row') === 2 ? 'collector1' : 'collector2'
  if (!rules.fenced || get(state, owner) !== 4) emit('the claim ends', set(state, 'lasting', 0))
}

/** A manifest's push that ended between its bytes and its record: they become a blob that nobody needs. */
function takeUpUnfinished(state: number, rules: Rules, emit: Emit): void {
  if (!get(state, 'arrival') || (rules.takesUpUnclaimed && isClaimed(state))) return
  const unknown = get(state, 'bytes') === 1 && get(state, 'row') !== live
  const known = unknown ? review(set(set(state, 'row', live), 'lasting', 0)) : state
  for (const others of [0, 1]) emit('upkeep takes up an unfinished push', set(known, 'arrival', others))
}

function removeAndPurge(state: number, rules: Rules, emit: Emit): void {
  for (const side of sides) {
    if (get(state, useOf[side])) {
      const gone = review(set(state, useOf[side], 0))
      emit(`manifest ${side} deleted`, set(gone, trashOf[side], 1))
    }
    if (get(state, trashOf[side])) emit(`trash ${side} purged`, review(set(state, trashOf[side], 0)))
  }
  // A client that deletes a blob takes it from everybody who had been told of it.
  if (get(state, 'link1') && !get(state, 'use1') && rules.scenario !== 'grace') {
    emit('blob deleted by a client', review(set(state, 'link1', 0)))
  }
}

function restore(state: number, rules: Rules, emit: Emit): void {
  const idle = set(state, 'restorer', 0)
  if (!get(state, 'restorer')) {
    if (get(state, 'trash1')) emit('restorer: lists the trash', set(state, 'restorer', 1))
    return
  }
  emit('restorer: gone', idle)
  if (!get(state, 'trash1') && rules.restoreChecks) return
  const recorded = set(set(idle, 'use1', 1), 'trash1', 0)
  const links = rules.restoreLinks && rules.scenario !== 'manifest'
  emit('restorer: manifest back', links ? linkFirst(recorded, rules) : recorded)
}

const actors = ['pusher', 'uploader', 'mounter', 'restorer', 'collector1', 'collector2'] as const
export const isQuiet = (state: number): boolean => actors.every((actor) => get(state, actor) === 0)

export function crash(state: number, rules: Rules): number {
  const putting = rules.scenario === 'manifest' && (get(state, 'pusher') > 0 || get(state, 'mounter') > 0)
  let next = stopUpload(putting ? set(state, 'arrival', 1) : state, rules)
  for (const actor of actors) next = set(next, actor, 0)
  return set(next, 'recovering', 1)
}
