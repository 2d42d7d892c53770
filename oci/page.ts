/** One page of a sorted list: at most `limit` entries after `after` (distribution-spec, "Listing Tags"). */
export interface PageRequest {
  readonly limit: number
  readonly after?: string
}

export interface Page<Entry> {
  readonly entries: readonly Entry[]
  /** Where the next page begins, when there is one. */
  readonly next?: string
}

/** Cuts a page out of up to `limit + 1` sorted rows: the one too many says that there is more. */
export function pageOf<Entry>(rows: readonly Entry[], limit: number, keyOf: (entry: Entry) => string): Page<Entry> {
  if (rows.length <= limit) return { entries: rows }
  const entries = rows.slice(0, limit)
  const last = entries.at(-1)
  return last === undefined ? { entries } : { entries, next: keyOf(last) }
}
