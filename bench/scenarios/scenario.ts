import type { Sample } from '../closed-loop.ts'

/** How a server takes part: `static` only serves files, `distribution` may be filled by writing its layout. */
export type Kind = 'registry' | 'distribution' | 'static'

export type Target = {
  readonly server: string
  readonly kind: Kind
  readonly port: number
  readonly root: string
}

export type Plan = {
  /** Small sizes, few connections: to see that everything works. */
  readonly quick: boolean
  /** How many tags and repositories the lists have. */
  readonly scale: number
}

export type ScenarioName = { readonly name: string; readonly unit: string }

/** What is known about one server after the preparation of a group. */
export type Prepared = {
  readonly measure: (scenario: string, seconds: number) => Promise<Sample>
  /** Looks closely at what the measurement before has pushed or read, outside the clock. May say something about it. */
  readonly verify: (scenario: string) => Promise<string | undefined>
}

/** Scenarios that share their preparation and a fresh start of every server. */
export type Group = {
  readonly name: string
  readonly scenarios: readonly ScenarioName[]
  readonly takesPart: (kind: Kind) => boolean
  readonly prepare: (target: Target) => Promise<Prepared>
}

export type Scenario<State> = ScenarioName & {
  readonly measure: (target: Target, state: State, seconds: number) => Promise<Sample>
  readonly verify: (target: Target, state: State) => Promise<string | undefined>
}

export type GroupParts<State> = {
  readonly name: string
  readonly scenarios: readonly Scenario<State>[]
  readonly takesPart?: (kind: Kind) => boolean
  readonly prepare: (target: Target) => Promise<State>
}

export function defineGroup<State>({ name, scenarios, takesPart, prepare }: GroupParts<State>): Group {
  const find = (wanted: string): Scenario<State> => {
    const found = scenarios.find((scenario) => scenario.name === wanted)
    if (found === undefined) throw new Error(`${name} has no scenario ${wanted}`)
    return found
  }
  return {
    name,
    scenarios: scenarios.map((scenario) => ({ name: scenario.name, unit: scenario.unit })),
    takesPart: takesPart ?? ((kind) => kind !== 'static'),
    prepare: async (target) => {
      const state = await prepare(target)
      return {
        measure: (scenario, seconds) => find(scenario).measure(target, state, seconds),
        verify: (scenario) => find(scenario).verify(target, state),
      }
    },
  }
}

export function connectionsText(count: number): string {
  return count === 1 ? '1 connection' : `${count} connections`
}

export function sizeText(bytes: number): string {
  return bytes >= 1024 * 1024 ? `${bytes / 1024 / 1024} MiB` : `${bytes / 1024} KiB`
}
