/** Of values in ascending order; the nearest rank. */
export function percentile(sorted: ArrayLike<number>, part: number): number {
  const rank = Math.ceil(part * sorted.length) - 1
  return sorted[Math.max(0, rank)] ?? Number.NaN
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  if (sorted.length % 2 === 1) return sorted[middle] ?? Number.NaN
  return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2
}

export type Ratio = { readonly median: number; readonly least: number; readonly most: number }

/**
 * Round by round, because what else the machine did in that minute touched both sides: a ratio of two medians would
 * compare a quiet minute of one with a busy minute of the other.
 */
export function pairedRatio(ours: readonly number[], theirs: readonly number[]): Ratio | undefined {
  const ratios = ours
    .slice(0, theirs.length)
    .map((value, round) => value / (theirs[round] ?? Number.NaN))
    .filter(Number.isFinite)
  if (ratios.length === 0) return undefined
  return { median: median(ratios), least: Math.min(...ratios), most: Math.max(...ratios) }
}
