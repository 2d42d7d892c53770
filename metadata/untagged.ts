import type { Digest } from '../oci/digest.ts'
import type { CollectionFacts } from './facts-upkeep.ts'
import { first, query, type Sql } from './sql.ts'

type Untagged = Pick<CollectionFacts, 'untagged' | 'untaggedReferrers' | 'hasReferrers' | 'standing'>

export function untaggedFacts(sql: Sql): Untagged {
  const untagged = query<{ repository: number; before: number; after: string; limit: number }>()(sql, (build, p) =>
    loose(build, p.repository)
      .select('manifests.digest')
      .where('manifests.digest', '>', p.after)
      .where('manifests.pushed_at', '<', p.before)
      .where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom('manifests as subjects')
              .select('subjects.digest')
              .whereRef('subjects.repository_id', '=', 'manifests.repository_id')
              .whereRef('subjects.digest', '=', 'manifests.subject'),
          ),
        ),
      )
      .orderBy('manifests.digest')
      .limit(p.limit),
  )
  const referrers = query<{ repository: number; subject: string; limit: number }>()(sql, (build, p) =>
    loose(build, p.repository)
      .select(['manifests.digest', 'manifests.pushed_at'])
      .where('manifests.subject', '=', p.subject)
      .orderBy('manifests.digest')
      .limit(p.limit),
  )
  const anyReferrer = query<{ repository: number; subject: string }>()(sql, (build, p) =>
    build
      .selectFrom('manifests')
      .select('digest')
      .where('repository_id', '=', p.repository)
      .where('subject', '=', p.subject)
      .limit(1),
  )

  const standing = query<{ repository: number; digest: string }>()(sql, (build, p) =>
    build
      .selectFrom('manifests')
      .select(['pushed_at', 'subject'])
      .where('repository_id', '=', p.repository)
      .where('digest', '=', p.digest),
  )

  return {
    untagged: async (repository, before, after, limit) =>
      (await sql.all(untagged({ repository, before, after, limit }))).map((row) => row.digest as Digest),
    untaggedReferrers: async (repository, subject, limit) =>
      (await sql.all(referrers({ repository, subject, limit }))).map((row) => ({
        digest: row.digest as Digest,
        pushedAt: row.pushed_at,
      })),
    standing: async (repository, digest) => {
      const row = await first(sql, standing({ repository, digest }))
      return row && { pushedAt: row.pushed_at, ...(row.subject !== null && { subject: row.subject as Digest }) }
    },
    hasReferrers: async (repository, subject) => (await first(sql, anyReferrer({ repository, subject }))) !== undefined,
  }
}

/** Manifests that no tag points to and that are part of no index. */
function loose(build: Sql['build'], repository: number) {
  return build
    .selectFrom('manifests')
    .where('manifests.repository_id', '=', repository)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('tags')
            .select('tags.name')
            .whereRef('tags.repository_id', '=', 'manifests.repository_id')
            .whereRef('tags.digest', '=', 'manifests.digest'),
        ),
      ),
    )
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('manifest_references')
            .select('manifest_references.parent')
            .whereRef('manifest_references.child', '=', 'manifests.digest')
            .whereRef('manifest_references.repository_id', '=', 'manifests.repository_id'),
        ),
      ),
    )
}
