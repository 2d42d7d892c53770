import { within } from '../patience.ts'
import { defaultFlightPatienceMs, type Flight, type SingleFlight } from '../single-flight.ts'

/** How the one caller of this process comes to run, or to hear that another process has. */
export type Lead = <T>(name: string, work: () => Promise<T>, patienceMs: number) => Promise<Flight<T>>

type End = 'done' | 'failed' | 'still running'

const alone: Lead = async (_name, work) => ({ outcome: 'ran', value: await work() })

/** One caller of this process leads, the others follow it. */
export function createLocalSingleFlight(lead: Lead = alone): SingleFlight {
  const ends = new Map<string, Promise<End>>()

  function begin<T>(name: string, work: () => Promise<T>, patienceMs: number): Promise<Flight<T>> {
    const flight = lead(name, work, patienceMs)
    const end = flight.then(
      ({ outcome }): End => (outcome === 'ran' ? 'done' : outcome),
      (): End => 'failed',
    )
    ends.set(
      name,
      end.finally(() => ends.delete(name)),
    )
    return flight
  }

  return {
    async once(name, work, patienceMs = defaultFlightPatienceMs) {
      const deadline = performance.now() + patienceMs
      for (;;) {
        const left = deadline - performance.now()
        const end = ends.get(name)
        // Nothing is awaited from finding nobody under way to leading.
        if (!end) return begin(name, work, Math.max(0, left))
        const outcome = await within(end, left, 'still running' as const)
        // Its patience may have been shorter than this caller's.
        if (outcome !== 'still running' || performance.now() >= deadline) return { outcome }
      }
    },
  }
}
