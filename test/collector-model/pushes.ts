/** Clients that push: HEAD and put, mount and put, upload and put; and manifests, whose own bytes come with the put. */
import {
  conclude,
  type Emit,
  isClaimed,
  isCondemned,
  linkFirst,
  linkOf,
  live,
  makeLive,
  type Rules,
  review,
  type Side,
  useOf,
} from './facts.ts'
import { type FieldName, get, set } from './state.ts'

const refused = 'J5: a push is refused that was told "it is there"'

/** The transaction of a put over a link. What the client had been told decides whether a refusal breaks a promise. */
function recordLinked(state: number, actor: FieldName, side: Side, rules: Rules, emit: Emit): void {
  const done = set(state, actor, 0)
  if (!rules.putChecks || get(state, linkOf[side])) emit(`${actor}: manifest recorded`, set(done, useOf[side], 1))
  else emit(`${actor}: manifest refused`, done, rules.scenario === 'grace' && side === 1 ? refused : undefined)
}

export function headAndPut(state: number, rules: Rules, emit: Emit): void {
  const at = get(state, 'pusher')
  const go = (next: number, from = state): number => set(from, 'pusher', next)
  if (at > 0) emit('pusher: gone', go(0))
  if (at === 0 && get(state, 'link1') && get(state, 'row') === live) emit('pusher: HEAD finds the link', go(1))
  if (at === 1) emit('pusher: HEAD looks for the bytes', go(get(state, 'bytes') ? 2 : 0))
  if (at === 2) {
    const touched = get(state, 'link1') === 1
    if (touched) emit('pusher: HEAD touches, 200', go(3, linkFirst(state, rules)))
    else emit('pusher: HEAD touches nothing', go(rules.headChecks ? 0 : 3))
  }
  if (at === 3) recordLinked(state, 'pusher', 1, rules, emit)
}

export function mountAndPut(state: number, rules: Rules, emit: Emit): void {
  const at = get(state, 'mounter')
  const go = (next: number, from = state): number => set(from, 'mounter', next)
  const mounted = (): number => go(2, review(set(state, 'link2', 1), rules.reviewsArrivals))
  const readable = get(state, 'link1') === 1 && get(state, 'row') === live
  if (at > 0) emit('mounter: gone', go(0))
  if (at === 0 && readable) emit('mounter: mounts', rules.mountChecks ? mounted() : go(1))
  if (at === 1) emit('mounter: links', mounted())
  if (at === 2) recordLinked(state, 'mounter', 2, rules, emit)
}

/** 1 named, 2 may move its bytes, 3 moved. */
export function put(state: number, actor: 'pusher' | 'mounter', side: Side, rules: Rules, emit: Emit): void {
  const at = get(state, actor)
  const go = (next: number, from = state): number => set(from, actor, next)
  if (at === 0) emit(`${actor}: names the manifest`, go(1))
  if (at === 1) passClaim(state, actor, rules, emit)
  if (at === 2) emit(`${actor}: bytes written`, go(3, set(state, 'bytes', 1)))
  if (at === 3) emit(`${actor}: manifest recorded`, go(0, makeLive(set(state, useOf[side], 1), rules)))
  // Refused, or its process went on without it: only recovery looks after the row.
  if (at > 0) emit(`${actor}: gone`, go(0, set(state, 'arrival', 1)))
}

function passClaim(state: number, actor: FieldName, rules: Rules, emit: Emit): void {
  if (isClaimed(state) && rules.waitsForClaim) return
  const over = isCondemned(state) && !rules.pardonsLast
  emit(`${actor}: no claim in its way`, set(over ? set(state, 'row', live) : state, actor, 2))
}

export function upload(state: number, rules: Rules, emit: Emit): void {
  const at = get(state, 'uploader')
  const go = (next: number, from = state): number => set(from, 'uploader', next)
  if (at === 0) {
    emit('uploader: names the digest', go(1))
    repeatCommit(state, rules, emit)
  }
  if (at === 1) passClaim(state, 'uploader', rules, emit)
  if (at === 1 || at === 2) emit('uploader: gives up', go(0))
  if (at === 2) emit('uploader: bytes moved', go(3, set(state, 'bytes', 1)))
  if (at === 3) emit('uploader: blob live and linked, 201', go(4, conclude(state, rules)))
  if (at === 4) recordLinked(state, 'uploader', 1, rules, emit)
  if (at > 0) emit('uploader: gone', stopUpload(state, rules))
}

/** The row of an upload outlives whoever worked on it. */
export function stopUpload(state: number, rules: Rules): number {
  const at = get(state, 'uploader')
  const stopped = set(state, 'uploader', 0)
  if (at === 0 || at === 4 || !rules.namesFirst) return stopped
  return set(stopped, at === 3 ? 'moved' : 'staged', 1)
}

/** Of several rows that wait, others may stay. */
function repeatCommit(state: number, rules: Rules, emit: Emit): void {
  for (const others of [0, 1]) {
    if (get(state, 'staged')) {
      const taken = set(state, 'staged', others)
      emit('uploader: commits again', set(taken, 'uploader', 1))
      if (!rules.repeatsWhole && get(state, 'bytes')) {
        emit('uploader: commits again, sees bytes, 201', set(conclude(taken, rules), 'uploader', 4))
      }
    }
    if (get(state, 'moved')) emit('uploader: commits again', set(set(state, 'moved', others), 'uploader', 3))
  }
}
