import type { OwedFacts } from './facts.ts'
import { first, query, type Sql } from './sql.ts'

export function owedFacts(sql: Sql): OwedFacts {
  const add = query<{ key: string; version: number; now: number }>()(sql, (build, p) =>
    build
      .insertInto('owed')
      .values({ key: p.key, version: p.version, since: p.now })
      .onConflict((conflict) => conflict.column('key').doUpdateSet({ version: p.version })),
  )
  const find = query<{ key: string }>()(sql, (build, p) =>
    build.selectFrom('owed').select(['key', 'version']).where('key', '=', p.key),
  )
  const clear = query<{ key: string; version: number }>()(sql, (build, p) =>
    build.deleteFrom('owed').where('key', '=', p.key).where('version', '=', p.version),
  )
  const page = query<{ after: string; limit: number }>()(sql, (build, p) =>
    build.selectFrom('owed').select(['key', 'version']).where('key', '>', p.after).orderBy('key').limit(p.limit),
  )
  const count = query<object>()(sql, (build) =>
    build.selectFrom('owed').select((expression) => expression.fn.countAll<number>().as('rows')),
  )

  return {
    add: async (key, version, now) => void (await sql.all(add({ key, version, now }))),
    find: (key) => first(sql, find({ key })),
    clear: async (owed) => void (await sql.all(clear(owed))),
    page: (after, limit) => sql.all(page({ after, limit })),
    count: async () => Number((await first(sql, count({})))?.rows ?? 0),
  }
}
