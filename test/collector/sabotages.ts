/** One rule of collection left out of the real code, each: what random schedules must be able to find. */
import type { FactQueries } from '../../metadata/facts.ts'
import { createSettler } from '../../registry/settle.ts'
import type { Planted } from './schedules.ts'

const always = Number.MAX_SAFE_INTEGER

type Groups = { readonly [Name in keyof FactQueries]?: Partial<FactQueries[Name]> }

/** The same facts with other answers here and there. */
function altered(facts: FactQueries, changes: Groups): FactQueries {
  const groups = Object.entries(changes).map(([name, calls]) => [
    name,
    { ...facts[name as keyof FactQueries], ...calls },
  ])
  return { ...facts, ...Object.fromEntries(groups) } as FactQueries
}

const condemnUnseen: Planted['changes'] = (changed, afterwards) =>
  altered(changed, {
    collection: {
      condemn: async (digest, until, now) => {
        const blob = await changed.collection.find(digest)
        if (!blob || (blob.condemnedUntil ?? 0) >= now) return false
        afterwards('update blobs set condemned_until = ? where digest = ?', until, digest)
        return true
      },
    },
  })

const ignoreTrash: NonNullable<Planted['changes']> = (changed, afterwards) =>
  altered(condemnUnseen(changed, afterwards), {
    collection: {
      ...condemnUnseen(changed, afterwards).collection,
      unneededLinks: (digest) => changed.collection.unneededLinks(digest, always),
      isUsed: async (digest) =>
        (await changed.collection.linkCount(digest)) > 0 || (await changed.collection.isReferred(digest, always)),
    },
  })

const planted = {
  'condemns without looking again': { changes: condemnUnseen },

  'does not wait for a claim': {
    reads: (reads) =>
      altered(reads, {
        collection: {
          find: async (digest) => {
            const found = await reads.collection.find(digest)
            return found && { digest, size: found.size }
          },
        },
      }),
  },

  'does not name its bytes': {
    changes: (changed) =>
      altered(changed, {
        uploads: {
          add: async (row) => (row.stage === '' ? undefined : changed.uploads.add(row)),
          remove: async (id) => (await changed.uploads.remove(id)) || true,
          change: (id, version, { committing, ...change }) => {
            const { state: _, ...unnamed } = change
            const isNaming = change.state === 'committing'
            const next = isNaming ? unnamed : committing === undefined ? change : { ...change, committing }
            return changed.uploads.change(id, version, next)
          },
        },
      }),
  },

  'does not settle before it deletes': {
    parts: (parts) => ({
      ...parts,
      settler: { ...createSettler({ ...parts, onError: () => {} }), settleAll: async () => 0 },
    }),
  },

  'takes what the trash needs': { changes: ignoreTrash },

  'deletes without the lock of the bytes': {
    parts: (parts) => ({
      ...parts,
      locks: {
        ...parts.locks,
        hold: (name, taking, work) =>
          name.startsWith('bytes/') ? work(new AbortController().signal) : parts.locks.hold(name, taking, work),
      },
    }),
  },

  'takes up pushes that are under way': {
    reads: (reads) =>
      altered(reads, { uploads: { idle: (state, _before, limit) => reads.uploads.idle(state, always, limit) } }),
  },

  'forgets that something was uploaded': {
    changes: (changed) =>
      altered(changed, {
        reviews: { add: async (review) => (review.reason === 'abandoned' ? undefined : changed.reviews.add(review)) },
      }),
  },

  'forgets what was deleted': {
    changes: (changed) =>
      altered(changed, {
        reviews: { add: async (review) => (review.reason === 'deleted' ? undefined : changed.reviews.add(review)) },
      }),
  },

  'believes HEAD without noting it': {
    changes: (changed) => altered(changed, { blobs: { touch: async () => true } }),
  },

  'lets nobody pardon': {
    changes: (changed, afterwards) =>
      altered(changed, {
        blobs: {
          add: async (digest, size, now) => {
            const until = (await changed.collection.find(digest))?.condemnedUntil
            await changed.blobs.add(digest, size, now)
            if (until !== undefined) afterwards('update blobs set condemned_until = ? where digest = ?', until, digest)
          },
        },
      }),
  },
} satisfies Readonly<Record<string, Planted>>

export interface Sabotage {
  readonly planted: Planted
  /** So many schedules usually show it. */
  readonly shownWithin: number
  readonly says: RegExp
}

const shown: Readonly<Record<keyof typeof planted, readonly [shownWithin: number, says: RegExp]>> = {
  'condemns without looking again': [1000, /is deleted while .* leads to it/],
  'does not wait for a claim': [100, /is deleted while .* leads to it/],
  'does not name its bytes': [80, /stays, and nothing uses it/],
  'does not settle before it deletes': [20, /is deleted while .* leads to it/],
  'takes what the trash needs': [20, /is deleted while .* leads to it/],
  'deletes without the lock of the bytes': [3000, /bytes are missing/],
  'takes up pushes that are under way': [50, /took so long that it was given up/],
  'forgets that something was uploaded': [100, /stays, and nothing uses it/],
  'forgets what was deleted': [50, /stays, and nothing uses it/],
  'believes HEAD without noting it': [100, /a push that asks failed within the grace/],
  'lets nobody pardon': [50, /a manifest that is listed lacks/],
}

export const sabotages: Readonly<Record<string, Sabotage>> = Object.fromEntries(
  Object.entries(planted).map(([name, each]) => {
    const [shownWithin, says] = shown[name as keyof typeof planted]
    return [name, { planted: each, shownWithin, says }]
  }),
)
