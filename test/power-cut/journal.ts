/**
 * What a client knows: every attempt to change something, when it began, and when it was acknowledged. From that follows
 * what may be found after a cut. An attempt that was acknowledged before the cut has happened; one that was under way
 * may have; one is overridden where another began after its end and was acknowledged.
 *
 * ```
 *    a = 1 ├──────┤
 *            a = 2 ├──────────┤                 cut
 *                               a = 3 ├──────────│────┤          a may be 2 or 3, not 1
 * ```
 */
import type { Reply } from '../support/client.ts'
import type { Blob } from '../support/image.ts'

/** A digest, or nothing where it is gone. */
export type Value = string | undefined

export interface Change {
  readonly key: string
  readonly value: Value
}

interface Step {
  readonly value: Value
  readonly start: number
  /** Endless until it is acknowledged. */
  end: number
}

/** The clone was taken between these two. */
export interface Cut {
  readonly before: number
  readonly after: number
}

/** An upload as its client knows it. */
export interface Sending {
  readonly repository: string
  readonly content: Blob
  readonly location: string
  readonly opened: number
  /** When a request began that carried bytes up to there. */
  readonly chunks: { readonly start: number; readonly upTo: number }[]
  closing: number
}

export const blobKey = (repository: string, digest: string): string => `blob ${repository} ${digest}`
export const manifestKey = (repository: string, digest: string): string => `manifest ${repository} ${digest}`
export const tagKey = (repository: string, tag: string): string => `tag ${repository} ${tag}`

const atFirst: Step = { value: undefined, start: Number.NEGATIVE_INFINITY, end: Number.NEGATIVE_INFINITY }

export class Journal {
  readonly sendings: Sending[] = []
  /** Answers that should not have come. */
  readonly surprises: string[] = []
  private readonly steps = new Map<string, Step[]>()
  acknowledged = 0

  /** Notes the changes before the request is sent; one that is refused changes nothing. */
  async attempt(changes: readonly Change[], wanted: number, request: () => Promise<Reply>): Promise<boolean> {
    const steps = this.note(changes, performance.now())
    const { status, bytes } = await request()
    if (status === wanted) {
      const end = performance.now()
      for (const step of steps) step.end = end
      this.acknowledged++
      return true
    }
    if (status < 500) this.forget(changes, steps)
    else this.surprises.push(`${changes[0]?.key} was answered ${status} ${bytes.toString().slice(0, 200)}`)
    return false
  }

  note(changes: readonly Change[], start: number, end = Number.POSITIVE_INFINITY): Step[] {
    return changes.map(({ key, value }) => {
      const step = { value, start, end }
      this.stepsOf(key).push(step)
      return step
    })
  }

  private forget(changes: readonly Change[], steps: readonly Step[]): void {
    for (const { key } of changes) {
      this.steps.set(
        key,
        this.stepsOf(key).filter((step) => !steps.includes(step)),
      )
    }
  }

  keys(): string[] {
    return [...this.steps.keys()]
  }

  /** Whether somebody was told of this, before the cut. */
  isAcknowledged(key: string, cut: Cut): boolean {
    return this.stepsOf(key).some(({ end }) => end < cut.before)
  }

  /** What may be found under a key after the cut. */
  possible(key: string, cut: Cut): Set<Value> {
    const begun = (step: Step): boolean => step.start < cut.after
    const steps = [atFirst, ...this.stepsOf(key).filter(begun)]
    const removals = steps.flatMap((step) => this.removalsOf(key, step, cut).map((removal) => ({ step, removal })))
    const overrides = (later: Step, earlier: Step): boolean => later.end < cut.before && later.start > earlier.end
    const taken = removals.filter(
      ({ step, removal }) =>
        removal.end >= step.start && !steps.some((other) => other.start > step.end && other.end < removal.start),
    )
    const standing = (step: Step): boolean =>
      !steps.some((other) => overrides(other, step)) &&
      !removals.some(({ step: taken, removal }) => taken === step && overrides(removal, step))
    const candidates = [...steps, ...taken.map(({ removal }) => removal)]
    return new Set(candidates.filter(standing).map(({ value }) => value))
  }

  /** Who deletes a manifest deletes the tags that point to it. */
  private removalsOf(key: string, step: Step, cut: Cut): Step[] {
    const [kind, repository = ''] = key.split(' ')
    if (kind !== 'tag' || step.value === undefined) return []
    const manifest = this.stepsOf(manifestKey(repository, step.value))
    return manifest.filter(({ value, start }) => value === undefined && start < cut.after)
  }

  private stepsOf(key: string): Step[] {
    const known = this.steps.get(key)
    if (known) return known
    const fresh: Step[] = []
    this.steps.set(key, fresh)
    return fresh
  }
}
