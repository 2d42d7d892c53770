/** What is asked of a state in more than one place, and the transactions that several actors share. */
import type { Protocol, Scenario } from './protocol.ts'
import { get, set } from './state.ts'

/** `broken`: a promise that the step itself breaks, whatever the state. */
export type Emit = (label: string, next: number, broken?: string) => void

export interface Rules extends Protocol {
  readonly scenario: Scenario
}

export const live = 1
export const sides = [1, 2] as const
export type Side = (typeof sides)[number]

/** Written out, because a name that is put together is slow to look up, and there are many millions of look-ups. */
export const linkOf = { 1: 'link1', 2: 'link2' } as const
export const useOf = { 1: 'use1', 2: 'use2' } as const
export const trashOf = { 1: 'trash1', 2: 'trash2' } as const
export const collectorOf = { 1: 'collector1', 2: 'collector2' } as const

export const isCondemned = (state: number): boolean => get(state, 'row') > live
export const isClaimed = (state: number): boolean => isCondemned(state) && get(state, 'lasting') === 1

/** Somebody refers to the digest, in this repository. */
export function isReferenced(state: number, side: Side, trashCounts: boolean): boolean {
  return get(state, useOf[side]) === 1 || (trashCounts && get(state, trashOf[side]) === 1)
}

export function isNamed(state: number, rules: Rules): boolean {
  if (get(state, 'staged') || get(state, 'moved') || get(state, 'arrival')) return true
  const uploader = get(state, 'uploader')
  if (rules.namesFirst && uploader >= 1 && uploader <= 3) return true
  return rules.scenario === 'manifest' && (get(state, 'pusher') > 0 || get(state, 'mounter') > 0)
}

export function isUsed(state: number, rules: Rules): boolean {
  const used = sides.some((side) => get(state, linkOf[side]) === 1 || isReferenced(state, side, rules.trashUses))
  return used || (rules.namesHoldOff && isNamed(state, rules))
}

export const settle = (state: number): number => set(state, 'file', get(state, 'link1'))

export function linkFirst(state: number, { scenario }: Rules): number {
  return set(set(state, 'link1', 1), 'fresh', scenario === 'grace' ? 1 : 0)
}

export const review = (state: number, wanted = true): number => (wanted ? set(state, 'review', 1) : state)

/** The transaction of an arrival: whatever claim was on the blob is lifted. */
export function makeLive(state: number, rules: Rules): number {
  if (isCondemned(state) && !rules.pardons) return state
  return set(set(state, 'row', live), 'lasting', 0)
}

export function conclude(state: number, rules: Rules): number {
  return review(linkFirst(makeLive(state, rules), rules), rules.reviewsArrivals)
}
