/**
 * Is there an order in which everything that was answered makes sense? Each request must have happened at one instant
 * between its start and its end; one without an answer happened after its start, or never.
 *
 * This is the search of Wing and Gong with what Lowe added: states that were seen are not searched again, and a request
 * is given its instant only when it is needed. All states are carried along the time line together. A state is the value
 * and those requests under way that have happened already.
 *
 * ```
 *   put D1 ├────────┤                  after put D1 has ended: { D1 }, { D2, put D2 happened }, { D1, put D2 happened }
 *   put D2     ├────────────────┤      after get has ended:    { D1 }
 *   get                ├ D1 ┤          after put D2 has ended: { D2 }
 * ```
 *
 * No state left: what ended last cannot be explained.
 */
import { type Effect, nothing, type Operation } from './history.ts'

export interface Verdict {
  /** What the register may hold after all of them; empty where they cannot be explained. */
  readonly values: ReadonlySet<string>
  readonly violation?: Violation
}

export interface Violation {
  /** The first whose end leaves no explanation. */
  readonly operation: Operation
  /** What the register can have held just before. */
  readonly values: readonly string[]
  /** Those that ended last before it, and those under way beside it. */
  readonly around: readonly Operation[]
}

interface State {
  readonly value: string
  /** Numbers of requests under way that have happened, in order. */
  readonly happened: readonly number[]
}

type States = ReadonlyMap<string, State>

const shownBefore = 6

/** `before` is what the register may hold at the beginning. */
export function judge(operations: readonly Operation[], before: Iterable<string> = [nothing]): Verdict {
  let states: States = byKey([...before].map((value) => ({ value, happened: [] })))
  const open = new Map<number, Operation>()
  for (const { number, isStart } of timeLine(operations)) {
    const operation = operations[number]!
    if (isStart) {
      open.set(number, operation)
      continue
    }
    const next = withHappened(states, number, open)
    open.delete(number)
    if (next.size === 0) {
      return { values: new Set(), violation: describe(operations, operation, states) }
    }
    states = next
  }
  return { values: new Set([...states.values()].map((state) => state.value)) }
}

/** Where a start and an end share an instant, both requests were under way at it. */
function timeLine(operations: readonly Operation[]): { number: number; isStart: boolean }[] {
  return operations
    .flatMap(({ start, end }, number) => [
      { at: start, number, isStart: true },
      { at: end, number, isStart: false },
    ])
    .sort((a, b) => (a.at === b.at ? Number(b.isStart) - Number(a.isStart) : a.at < b.at ? -1 : 1))
}

/** The states in which this request has happened, whatever else had to happen before it. */
function withHappened(states: States, ended: number, open: ReadonlyMap<number, Operation>): States {
  const found: State[] = []
  const waiting = [...states.values()]
  const seen = new Set(states.keys())
  const isUnknown = open.get(ended)?.outcome === 'unknown'
  for (let state = waiting.pop(); state; state = waiting.pop()) {
    const happened = state.happened.includes(ended)
    if (happened || isUnknown) found.push({ ...state, happened: state.happened.filter((each) => each !== ended) })
    if (happened) continue
    for (const next of successors(state, open)) {
      const key = keyOf(next)
      if (seen.has(key)) continue
      seen.add(key)
      waiting.push(next)
    }
  }
  return byKey(found)
}

function successors(state: State, open: ReadonlyMap<number, Operation>): State[] {
  const next: State[] = []
  for (const [number, { effect, outcome }] of open) {
    if (state.happened.includes(number)) continue
    const value = apply(effect, state.value)
    if (value === undefined) continue
    const after = { value, happened: [...state.happened, number].sort((a, b) => a - b) }
    // A read that fits now changes nothing: every other way on is as good after it.
    if (effect.kind === 'read') return [after]
    // And one that need not have happened, and would do nothing here, is left out.
    if (outcome === 'ok' || value !== state.value) next.push(after)
  }
  return next
}

/** The value afterwards; undefined where this cannot have been the answer. */
export function apply(effect: Effect, value: string): string | undefined {
  switch (effect.kind) {
    case 'write':
      return effect.digest
    case 'swap':
      return value === effect.from ? effect.digest : undefined
    case 'delete':
      return value === nothing ? undefined : nothing
    case 'untag':
      return value === effect.digest ? nothing : value
    case 'read':
      return wasSeen(effect, value) ? value : undefined
  }
}

function wasSeen(effect: Effect & { kind: 'read' }, value: string): boolean {
  if ('sawNot' in effect) return value !== effect.sawNot
  return effect.saw === 'anything' ? value !== nothing : effect.saw === value
}

const keyOf = ({ value, happened }: State): string => `${value} ${happened.join(' ')}`

function byKey(states: readonly State[]): States {
  return new Map(states.map((state) => [keyOf(state), state]))
}

function describe(operations: readonly Operation[], operation: Operation, states: States): Violation {
  const earlier = operations.filter((each) => each.end < operation.start).sort((a, b) => a.end - b.end)
  const beside = operations.filter(
    (each) => each !== operation && each.end >= operation.start && each.start <= operation.end,
  )
  const around = [...earlier.slice(-shownBefore), ...beside].sort((a, b) => a.start - b.start)
  return { operation, values: [...new Set([...states.values()].map((state) => state.value))], around }
}

/** A violation in lines that a person can follow. */
export function tellViolation(register: string, { operation, values, around }: Violation): string {
  const line = ({ client, effect, start, end, outcome }: Operation): string =>
    `    ${String(start).padStart(7)} – ${String(end).padEnd(7)} ${client.padEnd(10)} ${tellEffect(effect)}${outcome === 'unknown' ? ' (no answer)' : ''}`
  return [
    `${register}: no order of requests explains`,
    line(operation),
    `  before it the register can only have held ${values.map(short).join(' or ')}; what happened around it:`,
    ...around.map(line),
  ].join('\n')
}

function tellEffect(effect: Effect): string {
  switch (effect.kind) {
    case 'write':
      return `write ${short(effect.digest)}`
    case 'swap':
      return `swap ${short(effect.from)} for ${short(effect.digest)}`
    case 'delete':
      return 'delete'
    case 'untag':
      return `remove ${short(effect.digest)}`
    case 'read':
      return 'sawNot' in effect ? `read anything but ${short(effect.sawNot)}` : `read ${short(effect.saw)}`
  }
}

const short = (value: string): string => value.replace(/^(sha\d+:[0-9a-f]{8})[0-9a-f]+$/, '$1')
