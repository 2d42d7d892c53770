/** The judge is judged: by histories whose truth is known, by random ones, and by trying every order. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { createHistory, type Effect, nothing, type Operation } from './history.ts'
import { apply, judge, tellViolation } from './register-checker.ts'

const at = (start: number, end: number, effect: Effect): Operation => ({
  client: 'c',
  effect,
  start,
  end,
  outcome: 'ok',
})
const unanswered = (start: number, end: number, effect: Effect): Operation => ({
  ...at(start, end, effect),
  outcome: 'unknown',
})
const write = (digest: string): Effect => ({ kind: 'write', digest })
const read = (saw: string): Effect => ({ kind: 'read', saw })
const remove: Effect = { kind: 'delete' }
const untag = (digest: string): Effect => ({ kind: 'untag', digest })
const swap = (from: string, digest: string): Effect => ({ kind: 'swap', from, digest })

const explains = (operations: readonly Operation[]): boolean => judge(operations).violation === undefined

function accepted(name: string, operations: readonly Operation[]): void {
  test(name, () => assert.equal(explains(operations), true))
}

function refused(name: string, operations: readonly Operation[], culprit: Operation): void {
  test(name, () => assert.equal(judge(operations).violation?.operation, culprit))
}

describe('explained is', () => {
  accepted('nothing at all', [])
  accepted('a read of either of two writes at the same time', [
    at(1, 5, write('a')),
    at(2, 6, write('b')),
    at(7, 8, read('a')),
  ])
  accepted('a read that overtakes the answer of its write', [at(1, 9, write('a')), at(2, 3, read('a'))])
  accepted('a write without an answer that happened', [unanswered(1, 9, write('a')), at(10, 11, read('a'))])
  accepted('a write without an answer that never happened', [unanswered(1, 9, write('a')), at(10, 11, read(nothing))])
  accepted('a write without an answer that happens after others had begun and ended', [
    unanswered(1, 20, write('a')),
    at(2, 3, write('b')),
    at(4, 5, read('b')),
    at(6, 7, read('a')),
  ])
  accepted('a manifest that is deleted while its tag points to another', [
    at(1, 2, write('a')),
    at(3, 4, write('b')),
    at(5, 6, untag('a')),
    at(7, 8, read('b')),
  ])
  accepted('a swap of what is there', [at(1, 2, swap(nothing, 'a')), at(3, 4, swap('a', 'b')), at(5, 6, read('b'))])
  accepted('a tag list that has the tag', [at(1, 2, write('a')), at(3, 4, read('anything'))])
})

describe('not explained is', () => {
  const stale = at(5, 6, read('a'))
  refused('a read from a stale cache', [at(1, 2, write('a')), at(3, 4, write('b')), stale], stale)

  const lost = at(11, 12, read(nothing))
  refused('an acknowledged write that a restart has lost', [at(1, 2, write('a')), lost], lost)

  const replaced = at(11, 12, read('a'))
  refused(
    'an acknowledged write that an earlier, acknowledged one covers after a restart',
    [at(1, 2, write('a')), at(3, 4, write('b')), unanswered(5, 10, write('c')), replaced],
    replaced,
  )

  const risen = at(11, 12, read('a'))
  refused('a deleted tag that is back', [at(1, 2, write('a')), at(3, 4, remove), risen], risen)

  const early = at(3, 4, read(nothing))
  refused('a write that is acknowledged before it is done', [at(1, 2, write('a')), early, at(5, 6, read('a'))], early)

  const late = at(13, 14, read('a'))
  refused(
    'a request without an answer that happens after its server was replaced',
    [unanswered(1, 10, write('a')), at(11, 12, read(nothing)), late],
    late,
  )

  const twice = at(3, 6, remove)
  refused('one tag that was deleted twice', [at(1, 2, write('a')), at(3, 5, remove), twice], twice)

  const both = at(1, 4, swap(nothing, 'b'))
  refused('two who both created the tag', [at(1, 3, swap(nothing, 'a')), both], both)

  const left = at(5, 6, read('a'))
  refused('a tag that outlives its manifest', [at(1, 2, write('a')), at(3, 4, untag('a')), left], left)

  const back = at(7, 8, read('a'))
  refused(
    'two readers who see two writes in different orders',
    [at(1, 10, write('a')), at(1, 10, write('b')), at(3, 4, read('a')), at(5, 6, read('b')), back],
    back,
  )

  const unlisted = at(3, 4, read(nothing))
  refused('a tag that is missing in a list', [at(1, 2, write('a')), unlisted], unlisted)
})

test('a violation is told with what can have been there and what happened around it', () => {
  const digest = `sha256:${'0123456789abcdef'.repeat(4)}`
  const { violation } = judge([at(1, 2, write(digest)), unanswered(3, 6, remove), at(7, 8, read('sha256:x'))])
  assert.ok(violation)
  const told = tellViolation('a/b:latest', violation)
  assert.match(told, /^a\/b:latest: no order/)
  assert.match(told, /read sha256:x\n/)
  assert.match(told, /held sha256:01234567 or nothing;/)
  assert.match(told, /write sha256:01234567\n.*delete \(no answer\)$/s)
})

test('a history knows what was answered, and gives up what was not when the server was replaced', () => {
  const history = createHistory()
  const answered = history.begin('one', [])
  history.begin('two', [{ register: 'r', effect: write('b') }])
  answered.done([{ register: 'r', effect: write('a') }])
  assert.throws(() => history.take(), /under way/)
  history.close()
  assert.throws(() => answered.done([]), /given up/)
  const outcomes = history
    .take()
    .get('r')
    ?.map(({ start, end, outcome }) => [start, end, outcome])
  assert.deepEqual(outcomes, [
    [1, 3, 'ok'],
    [2, 4, 'unknown'],
  ])
  assert.equal(history.take().size, 0)
})

// Two digests and nothing: with few values, wrong orders often look right, which is what tries the search.
const digest = fc.constantFrom('a', 'b')
const value = fc.constantFrom('a', 'b', nothing)
const effect: fc.Arbitrary<Effect> = fc.oneof(
  digest.map(write),
  fc.constant(remove),
  digest.map(untag),
  fc.tuple(value, digest).map(([from, to]) => swap(from, to)),
  fc.oneof(value, fc.constant('anything')).map(read),
  digest.map((sawNot): Effect => ({ kind: 'read', sawNot })),
)
const interval = fc.tuple(fc.nat(9), fc.nat(4))
const arbitrary = fc
  .tuple(effect, interval, fc.boolean())
  .map(([what, [start, length], known]) => (known ? at : unanswered)(start, start + length, what))

/** Every order, without a thought. */
function explainedByTrying(left: readonly Operation[], now: string): boolean {
  if (left.every((each) => each.outcome === 'unknown')) return true
  return left.some((first) => {
    const rest = left.filter((each) => each !== first)
    if (rest.some((each) => each.outcome === 'ok' && each.end < first.start)) return false
    // Whoever goes first goes before all that is left: what had to be over by then never happens.
    const possible = rest.filter((each) => each.outcome === 'ok' || each.end >= first.start)
    const after = apply(first.effect, now)
    return after !== undefined && explainedByTrying(possible, after)
  })
}

test('whatever the history, the judge says what trying every order says', () => {
  const seen = { true: 0, false: 0 }
  fc.assert(
    fc.property(fc.array(arbitrary, { maxLength: 6 }), (operations) => {
      const truth = explainedByTrying(operations, nothing)
      seen[`${truth}`]++
      assert.equal(explains(operations), truth)
    }),
    { numRuns: 4000 },
  )
  assert.ok(seen.true > 200 && seen.false > 200, JSON.stringify(seen))
})

interface Step {
  readonly effect: Effect
  readonly before: number
  readonly after: number
  readonly answered: boolean
}
const step: fc.Arbitrary<Step> = fc.record({
  effect: fc.oneof({ weight: 2, arbitrary: effect }, { weight: 2, arbitrary: value.map(read) }),
  before: fc.nat(60),
  after: fc.nat(60),
  answered: fc.integer({ min: 0, max: 9 }).map((n) => n > 0),
})

/** What a register that works answers: each request takes effect at its own instant, at a random place in its time. */
function happen(steps: readonly Step[], until = Number.MAX_SAFE_INTEGER): Operation[] {
  let now = nothing
  return steps.flatMap((each, index) => {
    const instant = index * 20
    const [start, end] = [instant - each.before, each.answered ? instant + each.after : until]
    const after = apply(each.effect, now)
    const happened = each.effect.kind === 'read' ? undefined : after
    if (happened !== undefined) now = happened
    if (!each.answered) return [unanswered(start, end, each.effect)]
    return [at(start, end, happened === undefined ? read(now) : each.effect)]
  })
}

test('what a register that works has answered is always explained', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => explains(happen(steps))),
    { numRuns: 500 },
  )
})

test('a history judged in pieces, where nothing was under way, is judged as it is in whole', () => {
  const pieces = fc.array(fc.array(step, { maxLength: 12 }), { maxLength: 5 })
  const flipped = fc.option(fc.tuple(fc.nat(60), value))
  fc.assert(
    fc.property(pieces, flipped, (parts, flip) => {
      const length = 12 * 20 + 200
      let now: Iterable<string> = [nothing]
      const whole: Operation[] = []
      let explained = true
      for (const [index, part] of parts.entries()) {
        const ends = part.length * 20 + 60
        // Each piece begins with a write: what the one before has left is not known to the model.
        const first: Step = { effect: write('a'), before: 0, after: 0, answered: true }
        const operations = lie(happen([first, ...part], ends), flip).map((each) => ({
          ...each,
          start: Math.max(each.start, -60) + index * length,
          end: Math.min(each.end, ends) + index * length,
        }))
        whole.push(...operations)
        const verdict = judge(operations, now)
        now = verdict.values
        explained &&= verdict.violation === undefined
        if (!explained) break
      }
      assert.equal(explained, explains(whole))
    }),
    { numRuns: 300 },
  )
})

/** One read says something else than it saw. */
function lie(operations: readonly Operation[], flip: readonly [number, string] | null): Operation[] {
  const chosen = flip && readAt(operations, flip[0])
  return operations.map((each) => (each === chosen ? { ...each, effect: read(flip![1]) } : each))
}

function readAt(operations: readonly Operation[], which: number): Operation | undefined {
  const reads = operations.filter((each) => each.effect.kind === 'read')
  return reads[which % Math.max(1, reads.length)]
}

test('a read that lies is nearly always found, where few requests are under way at a time', () => {
  let [told, found] = [0, 0]
  const calm = step.map((each) => ({ ...each, before: each.before % 15, after: each.after % 15, answered: true }))
  const others = fc.tuple(fc.nat(60), value)
  fc.assert(
    fc.property(fc.array(calm, { minLength: 10, maxLength: 40 }), others, (steps, [which, saw]) => {
      const truth = happen(steps)
      const seen = readAt(truth, which)?.effect
      if (seen?.kind !== 'read' || !('saw' in seen) || [saw, 'anything'].includes(seen.saw)) return
      told++
      if (!explains(lie(truth, [which, saw]))) found++
      assert.equal(explains(lie(truth, [which, 'never written'])), false)
    }),
    { numRuns: 1000 },
  )
  // With another request under way beside it, a lie may be a truth that nobody can tell from it.
  assert.ok(told > 200 && found > told * 0.85, `${found} of ${told} lies were found`)
})
