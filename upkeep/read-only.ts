/** Whether pushes and deletions are refused: the configuration says so, or somebody has switched it on. */
import type { Facts } from '../metadata/facts.ts'
import type { ReadOnlyStatus } from './operations.ts'

const key = 'readonly'

export interface ReadOnlySwitch {
  readonly on: boolean
  status(): ReadOnlyStatus
  /** Remembered over restarts. */
  set(on: boolean): Promise<void>
}

export async function openReadOnlySwitch(facts: Facts, configured: boolean): Promise<ReadOnlySwitch> {
  let switched = (await facts.read.store.get(key)) !== undefined
  return {
    get on() {
      return configured || switched
    },
    status: () => ({
      on: configured || switched,
      by: [...(configured ? (['configuration'] as const) : []), ...(switched ? (['command'] as const) : [])],
    }),
    async set(on) {
      await facts.write((changed) => (on ? changed.store.set(key, 'on') : changed.store.remove(key)))
      switched = on
    },
  }
}
