import type { Counters } from './counters.ts'
import type { Locks } from './locks.ts'
import type { Notices } from './notices.ts'
import type { SingleFlight } from './single-flight.ts'

/** What nodes need of each other. A node that is alone has it, too. */
export interface Coordination {
  readonly locks: Locks
  readonly notices: Notices
  readonly counters: Counters
  readonly singleFlight: SingleFlight
  /** Whether nodes can hear of each other now. */
  isReachable(): boolean
  /** What is still held is left to its end, as a node that dies leaves it. */
  close(): Promise<void>
}
