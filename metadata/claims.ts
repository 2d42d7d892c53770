/**
 * Who comes first in SQL wins: a collector claims bytes before it deletes them, and whoever pushes the same bytes names
 * them first, in a `committing` row.
 *
 * ```
 * collector  unused? condemn until T ── deletes the object ── forget the row
 * push       name it (committing) ── condemned? wait until the row is gone, or T is over
 * ```
 *
 * Whoever claims runs alone (`Touches`): what it finds unused is unused until it commits. The row of bytes that were
 * pushed anew is condemned no more. A claim that is over protects nobody: its collector is dead, or has given up.
 * Forgetting needs the claim that was made, so a collector that was too slow cannot take the row of another.
 */
import type { Digest } from '../oci/digest.ts'
import type { CollectionFacts } from './facts-upkeep.ts'
import { first, query, type Sql } from './sql.ts'

type Claims = Pick<CollectionFacts, 'condemn' | 'forget'>

export function claimFacts(sql: Sql, isUsed: (digest: Digest) => Promise<boolean>): Claims {
  // Before whether it is used, which takes more to find out.
  const claimable = query<{ digest: string; now: number }>()(sql, (build, p) =>
    build
      .selectFrom('blobs')
      .select('digest')
      .where('digest', '=', p.digest)
      .where((row) => row.or([row('condemned_until', 'is', null), row('condemned_until', '<', p.now)])),
  )
  const claim = query<{ digest: string; until: number }>()(sql, (build, p) =>
    build.updateTable('blobs').set({ condemned_until: p.until }).where('digest', '=', p.digest),
  )
  const forget = query<{ digest: string; until: number }>()(sql, (build, p) =>
    build.deleteFrom('blobs').where('digest', '=', p.digest).where('condemned_until', '=', p.until).returning('digest'),
  )

  return {
    condemn: async (digest, until, now) => {
      if (!(await first(sql, claimable({ digest, now }))) || (await isUsed(digest))) return false
      await sql.all(claim({ digest, until }))
      return true
    },
    forget: async (digest, until) => (await first(sql, forget({ digest, until }))) !== undefined,
  }
}
