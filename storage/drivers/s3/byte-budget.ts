/** Memory that all bodies share. Who needs some waits in line; nobody overtakes, so a large upload starves no small one. */

export interface Grant {
  /** Gives back what is beyond `bytes`. */
  shrink(bytes: number): void
  release(): void
}

export interface ByteBudget {
  readonly total: number
  readonly used: number
  /** The most that was ever in use. */
  readonly peak: number
  readonly isShort: boolean
  acquire(bytes: number): Promise<Grant>
  /** Only what is free now, with nobody waiting for it. */
  tryAcquire(bytes: number): Grant | undefined
}

export function createByteBudget(total: number): ByteBudget {
  const waiting: { readonly bytes: number; readonly give: (grant: Grant) => void }[] = []
  let used = 0
  let peak = 0

  function grant(bytes: number): Grant {
    let held = bytes
    used += held
    peak = Math.max(peak, used)
    const shrink = (to: number): void => {
      if (to >= held) return
      used -= held - to
      held = to
      serve()
    }
    return { shrink, release: () => shrink(0) }
  }

  function serve(): void {
    while (waiting[0] && used + waiting[0].bytes <= total) {
      const { bytes, give } = waiting.shift()!
      give(grant(bytes))
    }
  }

  function tryAcquire(bytes: number): Grant | undefined {
    const wanted = Math.min(bytes, total)
    return waiting.length === 0 && used + wanted <= total ? grant(wanted) : undefined
  }

  return {
    total,
    get used() {
      return used
    },
    get peak() {
      return peak
    },
    get isShort() {
      return waiting.length > 0
    },
    tryAcquire,
    async acquire(bytes) {
      const now = tryAcquire(bytes)
      if (now) return now
      return new Promise((give) => waiting.push({ bytes: Math.min(bytes, total), give }))
    },
  }
}
