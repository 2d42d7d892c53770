/** The collector, and what recovery does at start about what it and others had begun. */
import {
  collectorOf,
  conclude,
  type Emit,
  isClaimed,
  isCondemned,
  isNamed,
  isReferenced,
  isUsed,
  linkOf,
  live,
  type Rules,
  type Side,
  settle,
  sides,
} from './facts.ts'
import { get, set } from './state.ts'

/** 1 stale links gone, 2 only where a rule is left out, 3 claimed, 4 claimed and settled, 5 bytes deleted. */
export function collect(state: number, side: Side, rules: Rules, emit: Emit): void {
  const actor = collectorOf[side]
  const at = get(state, actor)
  const go = (next: number, from = state): number => set(from, actor, next)
  if (at > 0) emit(`${actor}: gone`, go(0))
  if (at === 0 && get(state, 'review')) emit(`${actor}: stale links removed`, go(1, unlinkStale(state, rules)))
  if (at === 1 && rules.checksAgain && rules.settlesClaimed) condemn(state, side, rules, emit)
  else if (at === 1) lookBefore(state, side, rules, emit)
  if (at === 2) condemn(state, side, rules, emit)
  if (at === 3 && get(state, 'row') === side + 1 && isClaimed(state)) {
    emit(`${actor}: link files settled, the claim lasts`, go(4, rules.settlesClaimed ? settle(state) : state))
  }
  if (at === 4) emit(`${actor}: bytes deleted`, go(5, set(state, 'bytes', 0)))
  if (at === 5) emit(`${actor}: row forgotten`, go(0, forget(state, side, rules)))
}

/** What some rules make unnecessary: without them this is where it was settled, or decided. */
function lookBefore(state: number, side: Side, rules: Rules, emit: Emit): void {
  const settled = rules.settlesFirst ? settle(state) : state
  const next = !rules.checksAgain && isUsed(state, rules) ? 0 : 2
  emit(`collector${side}: looked at, link files settled`, set(settled, collectorOf[side], next))
}

export function unlinkStale(state: number, rules: Rules): number {
  let next = state
  for (const side of sides) {
    const touched = side === 1 && get(state, 'fresh') === 1
    if (!touched && !isReferenced(state, side, rules.trashKeepsLinks)) next = set(next, linkOf[side], 0)
  }
  return next
}

function condemn(state: number, side: Side, rules: Rules, emit: Emit): void {
  const actor = collectorOf[side]
  const idle = set(state, actor, 0)
  if (get(state, 'row') === 0) emit(`${actor}: nothing there`, set(idle, 'review', 0))
  else if (isClaimed(state)) emit(`${actor}: claimed by another`, idle)
  else if (rules.checksAgain && isUsed(state, rules)) emit(`${actor}: in use`, endReview(idle, rules))
  else emit(`${actor}: condemned`, set(set(set(state, actor, 3), 'row', side + 1), 'lasting', 1))
}

function endReview(state: number, rules: Rules): number {
  const stale = sides.some((side) => get(state, linkOf[side]) && !isReferenced(state, side, true))
  const keeps = (rules.keepsReviewForLinks && stale) || (rules.keepsReviewForUploads && isNamed(state, rules))
  return keeps ? state : set(state, 'review', 0)
}

function forget(state: number, side: Side, rules: Rules): number {
  const own = get(state, 'row') === side + 1
  const reviewed = own || !rules.keepsReviewOfOthers ? set(state, 'review', 0) : state
  return own || !rules.forgetsOwnOnly ? set(set(reviewed, 'row', 0), 'lasting', 0) : reviewed
}

/** What is left says what there is to do, so that recovery can be interrupted anywhere and begun again. */
export function recover(state: number, rules: Rules, emit: Emit): void {
  const bytes = get(state, 'bytes') === 1
  if (isCondemned(state)) {
    const pardoned = bytes && rules.recoveryChecks && isUsed(state, rules)
    if (pardoned) emit('recovery: pardons', set(set(state, 'row', live), 'lasting', 0))
    else if (bytes && rules.settlesClaimed && get(state, 'file') !== get(state, 'link1'))
      emit('recovery: settles', settle(state))
    else if (bytes) emit('recovery: deletes condemned bytes', set(state, 'bytes', 0))
    else emit('recovery: forgets the condemned row', set(set(state, 'row', 0), 'lasting', 0))
    if (rules.recoversCondemnedFirst) return
  }
  const stored = get(state, 'row') === live
  if (get(state, 'staged')) emit('recovery: the upload goes on receiving', set(state, 'staged', 0))
  if (get(state, 'moved')) {
    const finished = bytes && !stored ? conclude(state, rules) : state
    emit('recovery: the upload is finished', set(finished, 'moved', 0))
  }
  if (get(state, 'arrival')) {
    if (bytes && !stored) emit('recovery: drops bytes of a manifest', set(state, 'bytes', 0))
    else emit('recovery: drops the row of a manifest', set(state, 'arrival', 0))
  }
  if (!isCondemned(state) && !isNamed(state, rules)) emit('recovery: done', set(state, 'recovering', 0))
}
