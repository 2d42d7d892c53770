import type { Digest } from '../oci/digest.ts'
import { claimFacts } from './claims.ts'
import type { CollectionFacts, StoredBlob } from './facts-upkeep.ts'
import type { Schema } from './schema.ts'
import { first, query, type Sql } from './sql.ts'
import { untaggedFacts } from './untagged.ts'
import { usageFacts } from './usage.ts'

export function collectionFacts(sql: Sql): CollectionFacts {
  const usage = usageFacts(sql)
  return { ...blobFacts(sql), ...usage, ...claimFacts(sql, usage.isUsed), ...untaggedFacts(sql) }
}

function blobFacts(
  sql: Sql,
): Pick<CollectionFacts, 'find' | 'condemned' | 'markDamaged' | 'markWhole' | 'page' | 'totals'> {
  const find = query<{ digest: string }>()(sql, (build, p) => stored(build).where('digest', '=', p.digest))
  const condemned = query<{ limit: number }>()(sql, (build, p) =>
    stored(build).where('condemned_until', 'is not', null).orderBy('condemned_until').limit(p.limit),
  )
  const markDamaged = query<{ digest: string; now: number }>()(sql, (build, p) =>
    build.updateTable('blobs').set({ damaged_at: p.now }).where('digest', '=', p.digest),
  )
  const markWhole = query<{ digest: string; size: number }>()(sql, (build, p) =>
    build.updateTable('blobs').set({ size: p.size, damaged_at: null }).where('digest', '=', p.digest),
  )
  const page = query<{ after: string; limit: number }>()(sql, (build, p) =>
    stored(build).where('digest', '>', p.after).orderBy('digest').limit(p.limit),
  )
  const totals = query<object>()(sql, (build) =>
    build
      .selectFrom('blobs')
      .select((expression) => [
        expression.fn.countAll<number>().as('blobs'),
        expression.fn.sum<number | null>('size').as('bytes'),
      ]),
  )

  return {
    find: async (digest) => {
      const row = await first(sql, find({ digest }))
      return row && toBlob(row)
    },
    condemned: async (limit) => (await sql.all(condemned({ limit }))).map(toBlob),
    markDamaged: async (digest, now) => void (await sql.all(markDamaged({ digest, now }))),
    markWhole: async (digest, size) => void (await sql.all(markWhole({ digest, size }))),
    page: async (after, limit) => (await sql.all(page({ after, limit }))).map(toBlob),
    totals: async () => {
      const row = await first(sql, totals({}))
      return { blobs: Number(row?.blobs ?? 0), bytes: Number(row?.bytes ?? 0) }
    },
  }
}

function stored(build: Sql['build']) {
  return build.selectFrom('blobs').select(['digest', 'size', 'stored_at', 'condemned_until', 'damaged_at'])
}

function toBlob(row: Omit<Schema['blobs'], 'created_at' | 'touched_at'>): StoredBlob {
  return {
    digest: row.digest as Digest,
    size: row.size,
    ...(row.stored_at !== null && { storedAt: row.stored_at }),
    ...(row.condemned_until !== null && { condemnedUntil: row.condemned_until }),
    ...(row.damaged_at !== null && { damagedAt: row.damaged_at }),
  }
}
