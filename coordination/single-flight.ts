/** Work that one does for all who want it at the same time. */

/**
 * `ran`: it was this caller. `done` and `failed`: another ran meanwhile and is through; look for what it was to bring about.
 * `still running`: another runs, and patience has ended.
 */
export type Flight<T> =
  | { readonly outcome: 'ran'; readonly value: T }
  | { readonly outcome: 'done' | 'failed' | 'still running' }

export const defaultFlightPatienceMs = 30_000

export interface SingleFlight {
  /**
   * One caller among all nodes runs `work`; the others wait for its end. Where the one who ran is gone, the next takes
   * over. It saves work and protects nothing: while nodes cannot hear of each other, one runs on each.
   */
  once<T>(name: string, work: () => Promise<T>, patienceMs?: number): Promise<Flight<T>>
}
