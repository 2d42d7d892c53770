/** One at a time, by name, among all nodes that share a store. */

export class LockBusy extends Error {
  constructor(name: string) {
    super(`${name} is held by another`)
  }
}

/**
 * What a newcomer does where the name is held: `wait` for its turn, `ask` the holder to let go and wait, or `give up` at
 * once. Waiting ends with `LockBusy` after `patienceMs`.
 */
export interface Taking {
  readonly when: 'wait' | 'ask' | 'give up'
  readonly patienceMs?: number
  /**
   * Go on without the lock while nodes cannot hear of each other, because what is done is fenced elsewhere (by a version in
   * SQL, by a claim). Otherwise it is `LockBusy` before long.
   */
  readonly fenced?: true
}

export interface Locks {
  /**
   * Runs `work` while holding `name`; `asked` fires when somebody else asks for it, or has it because this node was
   * believed dead, and may have fired already.
   */
  hold<T>(name: string, taking: Taking, work: (asked: AbortSignal) => Promise<T>): Promise<T>
  /** Whether somebody holds it now. */
  isHeld(name: string): Promise<boolean>
}
