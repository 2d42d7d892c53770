/** What must be true in every state, and what must become true when everybody has gone home. */
import { recover } from './collector.ts'
import { isNamed, linkOf, type Rules, sides, trashOf, useOf } from './facts.ts'
import { crash, isQuiet, steps } from './model.ts'
import { get, set } from './state.ts'

/** The promise that a state breaks. */
export function brokenIn(state: number, rules: Rules): string | undefined {
  const bytes = get(state, 'bytes') === 1
  const served = bytes && get(state, 'row') === 1
  for (const side of sides) {
    if (get(state, useOf[side])) {
      if (!served) return 'J1: a manifest refers to what is not there'
      if (rules.scenario !== 'manifest' && !get(state, linkOf[side]))
        return 'J1: a manifest refers to what may not be read'
    }
    if (get(state, trashOf[side]) && !served) return 'J3: the trash refers to what is not there'
  }
  if (get(state, 'row') === 1 && !bytes) return 'J2: a blob has no bytes'
  if (bytes && get(state, 'row') === 0 && !isNamed(state, rules)) return 'J4: bytes that nobody names'
  if (get(state, 'file') && !bytes) return 'J6: a link file leads to no bytes'
  return undefined
}

/** Everybody has gone: two collections must leave nothing that nobody refers to. */
export function leftBehind(state: number, rules: Rules): string | undefined {
  if (!isQuiet(state) || get(state, 'recovering')) return undefined
  const recovered = isNamed(state, rules) ? restart(state, rules) : state
  const left = collectAlone(collectAlone(recovered, rules), rules)
  const referred = sides.map((side) => get(left, useOf[side]) || get(left, trashOf[side]))
  if (sides.some((side, index) => get(left, linkOf[side]) && !referred[index])) return 'J4: a link outlasts its use'
  if (!referred.some(Boolean) && (get(left, 'row') || get(left, 'bytes'))) return 'J4: bytes outlast their use'
  return undefined
}

function restart(state: number, rules: Rules): number {
  let now = crash(state, rules)
  while (get(now, 'recovering')) now = lastStep(now, (emit) => recover(now, rules, emit))
  return now
}

function collectAlone(state: number, rules: Rules): number {
  let now = set(set(state, 'fresh', 0), 'lasting', 0)
  do {
    const before = now
    now = lastStep(before, (emit) =>
      steps(before, rules, (label, next) => {
        if (label.startsWith('collector1: ') && !label.endsWith(': gone')) emit(label, next)
      }),
    )
  } while (get(now, 'collector1'))
  return now
}

function lastStep(state: number, take: (emit: (label: string, next: number) => void) => void): number {
  let last = state
  take((_label, next) => {
    last = next
  })
  return last
}
