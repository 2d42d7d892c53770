/**
 * A state of the model is one number: every fact and every actor's place is a few of its bits, so that states are
 * compared, remembered and copied for nothing. There is one digest; two repositories can have it.
 */
interface Field {
  readonly shift: number
  readonly mask: number
}

const widths = {
  bytes: 1,
  /** 0 none, 1 live, 2 condemned by the first collector, 3 by the second. */
  row: 2,
  /** Whether the claim lasts. */
  lasting: 1,
  link1: 1,
  link2: 1,
  /** The first link was touched within the grace. */
  fresh: 1,
  /** The link file of the first link. */
  file: 1,
  use1: 1,
  use2: 1,
  trash1: 1,
  trash2: 1,
  review: 1,
  /** Rows that say `committing` and nobody works on: an upload whose bytes have not moved, one whose have, a manifest. */
  staged: 1,
  moved: 1,
  arrival: 1,
  /** HEAD and put; in the scenario of manifests a put. */
  pusher: 2,
  uploader: 3,
  /** Mount and put; in the scenario of manifests a second put. */
  mounter: 2,
  restorer: 1,
  collector1: 3,
  collector2: 3,
  recovering: 1,
} as const

export type FieldName = keyof typeof widths

let total = 0
const placed = Object.entries(widths).map(([name, width]) => {
  const field: Field = { shift: total, mask: (1 << width) - 1 }
  total += width
  return [name, field] as const
})
export const stateBits = total
const fields = Object.fromEntries(placed) as Record<FieldName, Field>

export function get(state: number, name: FieldName): number {
  const { shift, mask } = fields[name]
  return (state >>> shift) & mask
}

export function set(state: number, name: FieldName, value: number): number {
  const { shift, mask } = fields[name]
  return (state & ~(mask << shift)) | (value << shift)
}

/** What is not nothing, in words. */
export function describe(state: number): string {
  const names = Object.keys(widths) as FieldName[]
  return names
    .filter((name) => get(state, name) !== 0)
    .map((name) => (fields[name].mask === 1 ? name : `${name}=${get(state, name)}`))
    .join(' ')
}

const condemnedBy = { 0: 0, 1: 1, 2: 3, 3: 2 } as const

/** The collectors are alike: of two states that differ in their names alone, one stands for both. */
export function withoutNames(state: number): number {
  const first = get(state, 'collector1')
  const second = get(state, 'collector2')
  const row = get(state, 'row') as 0 | 1 | 2 | 3
  if (first < second || (first === second && row !== 3)) return state
  return set(set(set(state, 'collector1', second), 'collector2', first), 'row', condemnedBy[row])
}
