/** Whether pushes and deletions are refused: the configuration says so, or somebody has switched it on. */
import type { Notices } from '../coordination/notices.ts'
import type { Facts } from '../metadata/facts.ts'
import type { ReadOnlyStatus } from './operations.ts'

const key = 'readonly'

export interface ReadOnlySwitch {
  readonly on: boolean
  status(): ReadOnlyStatus
  /** Remembered over restarts. */
  set(on: boolean): Promise<void>
  /** Another process of the same store may have switched it. */
  refresh(): Promise<void>
}

const topic = 'read-only'

export async function openReadOnlySwitch(facts: Facts, configured: boolean, notices: Notices): Promise<ReadOnlySwitch> {
  let switched = false
  const refresh = async () => {
    switched = (await facts.read.store.get(key)) !== undefined
  }
  await refresh()
  notices.listen(topic, () => void refresh().catch(() => {}))
  return {
    refresh,
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
      notices.tell(topic, '')
    },
  }
}
