import type { Counters } from '../counters.ts'

/** So many names are counted at once; beyond them the oldest window is forgotten. */
const mostNames = 100_000

interface Window {
  count: number
  readonly endsAt: number
}

export function createLocalCounters(clock: () => number = () => performance.now()): Counters {
  const windows = new Map<string, Window>()

  function begin(name: string, windowMs: number): Window {
    const window = { count: 0, endsAt: clock() + windowMs }
    // Last in the order, wherever its name stood before.
    windows.delete(name)
    windows.set(name, window)
    forgetOld()
    return window
  }

  /** Two for each one that comes, so that what has ended goes without anybody ever looking at everything. */
  function forgetOld(): void {
    let looked = 0
    for (const [name, { endsAt }] of windows) {
      if (++looked > 2) return
      if (endsAt <= clock() || windows.size > mostNames) windows.delete(name)
    }
  }

  return {
    async add(name, by, windowMs) {
      const known = windows.get(name)
      const window = known && known.endsAt > clock() ? known : begin(name, windowMs)
      window.count += by
      return window.count
    },
  }
}
