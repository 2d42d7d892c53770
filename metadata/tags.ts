import type { Digest } from '../oci/digest.ts'
import type { Tag } from '../oci/name.ts'
import type { TagFacts } from './facts.ts'
import { first, query, type Sql } from './sql.ts'

type Named = { repository: number; name: string }

export function tagFacts(sql: Sql): TagFacts {
  const page = query<{ repository: number; after: string; limit: number }>()(sql, (build, p) =>
    build
      .selectFrom('tags')
      .select('name')
      .where('repository_id', '=', p.repository)
      .where('name', '>', p.after)
      .orderBy('name')
      .limit(p.limit),
  )
  const digest = query<Named>()(sql, (build, p) =>
    build.selectFrom('tags').select('digest').where('repository_id', '=', p.repository).where('name', '=', p.name),
  )
  const set = query<Named & { digest: string; now: number }>()(sql, (build, p) =>
    build
      .insertInto('tags')
      .values({ repository_id: p.repository, name: p.name, digest: p.digest, updated_at: p.now })
      .onConflict((conflict) =>
        conflict.columns(['repository_id', 'name']).doUpdateSet({ digest: p.digest, updated_at: p.now }),
      ),
  )
  const remember = query<Named & { digest: string }>()(sql, (build, p) =>
    build
      .insertInto('tag_history')
      .values({ repository_id: p.repository, name: p.name, digest: p.digest })
      .onConflict((conflict) => conflict.doNothing()),
  )
  const remove = query<Named>()(sql, (build, p) =>
    build.deleteFrom('tags').where('repository_id', '=', p.repository).where('name', '=', p.name).returning('name'),
  )
  const forget = query<Named>()(sql, (build, p) =>
    build.deleteFrom('tag_history').where('repository_id', '=', p.repository).where('name', '=', p.name),
  )
  const pointingTo = query<{ repository: number; digest: string }>()(sql, (build, p) =>
    build.selectFrom('tags').select('name').where('repository_id', '=', p.repository).where('digest', '=', p.digest),
  )
  const history = query<Named>()(sql, (build, p) =>
    build
      .selectFrom('tag_history')
      .select('digest')
      .where('repository_id', '=', p.repository)
      .where('name', '=', p.name),
  )
  const remembered = query<Named & { digest: string }>()(sql, (build, p) =>
    build
      .selectFrom('tag_history')
      .select('digest')
      .where('repository_id', '=', p.repository)
      .where('name', '=', p.name)
      .where('digest', '=', p.digest),
  )

  return {
    page: async (repository, after, limit) =>
      (await sql.all(page({ repository, after, limit }))).map((row) => row.name as Tag),
    digest: async (repository, name) => (await first(sql, digest({ repository, name })))?.digest as Digest | undefined,
    set: async (repository, name, target, now) => {
      await sql.all(set({ repository, name, digest: target, now }))
      await sql.all(remember({ repository, name, digest: target }))
    },
    delete: async (repository, name) => {
      const removed = (await first(sql, remove({ repository, name }))) !== undefined
      if (removed) await sql.all(forget({ repository, name }))
      return removed
    },
    pointingTo: async (repository, target) =>
      (await sql.all(pointingTo({ repository, digest: target }))).map((row) => row.name as Tag),
    history: async (repository, name) =>
      (await sql.all(history({ repository, name }))).map((row) => row.digest as Digest),
    hadPointedTo: async (repository, name, target) =>
      (await first(sql, remembered({ repository, name, digest: target }))) !== undefined,
  }
}
