import { sql as raw } from 'kysely'
import type { RepositoryName } from '../oci/name.ts'
import type { RepositoryFacts, RepositoryRow } from './facts.ts'
import { first, query, type Sql } from './sql.ts'

export function repositoryFacts(sql: Sql): RepositoryFacts {
  const find = query<{ name: string }>()(sql, (build, p) =>
    build.selectFrom('repositories').select(['id', 'state']).where('name', '=', p.name).where('deleted_at', 'is', null),
  )
  const ensure = query<{ name: string; now: number }>()(sql, (build, p) =>
    build
      .insertInto('repositories')
      .values({ name: p.name, state: 'adopted', created_at: p.now, deleted_at: null })
      .onConflict((conflict) => conflict.column('name').doUpdateSet({ deleted_at: null }))
      .returning(['id', 'state']),
  )
  const page = query<{ after: string; limit: number }>()(sql, (build, p) =>
    build
      .selectFrom('repositories')
      .select('name')
      .where('name', '>', p.after)
      .where('deleted_at', 'is', null)
      .orderBy('name')
      .limit(p.limit),
  )
  const search = query<{ pattern: string; limit: number }>()(sql, (build, p) =>
    build
      .selectFrom('repositories')
      .select('name')
      .where(raw<boolean>`name like ${p.pattern} escape '!'`)
      .where('deleted_at', 'is', null)
      .orderBy('name')
      .limit(p.limit),
  )

  return {
    find: (name) => first<RepositoryRow>(sql, find({ name })),
    ensure: async (name, now) =>
      (await first<RepositoryRow>(sql, find({ name }))) ?? (await first<RepositoryRow>(sql, ensure({ name, now })))!,
    page: async (after, limit) => (await sql.all(page({ after, limit }))).map((row) => row.name as RepositoryName),
    search: async (term, limit) => {
      // Where a pattern ends with it, anything would match.
      if (term.includes('\u0000')) return []
      const pattern = `%${term.toLowerCase().replace(/[!%_]/g, '!$&')}%`
      return (await sql.all(search({ pattern, limit }))).map((row) => row.name as RepositoryName)
    },
  }
}
