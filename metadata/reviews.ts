import { sql as raw } from 'kysely'
import type { Digest } from '../oci/digest.ts'
import type { Review, ReviewFacts } from './facts-upkeep.ts'
import type { ReviewKind, ReviewReason, Schema } from './schema.ts'
import { first, query, type Sql } from './sql.ts'

type Asked = { kind: ReviewKind; repository: number; digest: string; due: number; reason: ReviewReason }

export function reviewFacts(sql: Sql): ReviewFacts {
  const add = query<Asked>()(sql, (build, p) =>
    build
      .insertInto('reviews')
      .values({ kind: p.kind, repository_id: p.repository, digest: p.digest, due: p.due, reason: p.reason })
      .onConflict((conflict) =>
        conflict.columns(['kind', 'repository_id', 'digest']).doUpdateSet((row) => ({
          due: row
            .case()
            .when('reviews.due', '<', row.ref('excluded.due'))
            .then(row.ref('reviews.due'))
            .else(row.ref('excluded.due'))
            .end(),
          reason: row.ref('excluded.reason'),
        })),
      ),
  )
  const due = query<{ until: number; due: number; kind: string; repository: number; digest: string; limit: number }>()(
    sql,
    (build, p) =>
      build
        .selectFrom('reviews')
        .select(['kind', 'repository_id', 'digest', 'due', 'reason'])
        .where(raw<boolean>`(due, kind, repository_id, digest) > (${p.due}, ${p.kind}, ${p.repository}, ${p.digest})`)
        .where('due', '<=', p.until)
        .orderBy('due')
        .orderBy('kind')
        .orderBy('repository_id')
        .orderBy('digest')
        .limit(p.limit),
  )
  const putOff = query<Asked & { later: number }>()(sql, (build, p) =>
    build
      .updateTable('reviews')
      .set({ due: p.later })
      .where('kind', '=', p.kind)
      .where('repository_id', '=', p.repository)
      .where('digest', '=', p.digest)
      .where('due', '=', p.due)
      .where('reason', '=', p.reason),
  )
  const remove = query<Asked>()(sql, (build, p) =>
    build
      .deleteFrom('reviews')
      .where('kind', '=', p.kind)
      .where('repository_id', '=', p.repository)
      .where('digest', '=', p.digest)
      .where('due', '=', p.due)
      .where('reason', '=', p.reason),
  )
  const count = query<{ until: number }>()(sql, (build, p) =>
    build
      .selectFrom('reviews')
      .select((expression) => expression.fn.countAll<number>().as('rows'))
      .where('due', '<=', p.until),
  )

  return {
    add: async (review) => void (await sql.all(add(asked(review)))),
    due: async (until, after, limit) => {
      const place = after ? asked(after) : { due: Number.MIN_SAFE_INTEGER, kind: '', repository: 0, digest: '' }
      return (await sql.all(due({ ...place, until, limit }))).map(toReview)
    },
    putOff: async (review, later) => void (await sql.all(putOff({ ...asked(review), later }))),
    remove: async (review) => void (await sql.all(remove(asked(review)))),
    count: async (until) => Number((await first(sql, count({ until })))?.rows ?? 0),
  }
}

function asked({ kind, repositoryId, digest, due, reason }: Review): Asked {
  return { kind, repository: repositoryId, digest, due, reason }
}

function toReview(row: Schema['reviews']): Review {
  return {
    kind: row.kind,
    repositoryId: row.repository_id,
    digest: row.digest as Digest,
    due: row.due,
    reason: row.reason,
  }
}
