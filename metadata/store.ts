import type { StoreFacts } from './facts.ts'
import { first, query, type Sql } from './sql.ts'

export function storeFacts(sql: Sql): StoreFacts {
  const get = query<{ key: string }>()(sql, (build, p) =>
    build.selectFrom('store').select('value').where('key', '=', p.key),
  )
  const set = query<{ key: string; value: string }>()(sql, (build, p) =>
    build
      .insertInto('store')
      .values({ key: p.key, value: p.value })
      .onConflict((conflict) => conflict.column('key').doUpdateSet({ value: p.value })),
  )
  const remove = query<{ key: string }>()(sql, (build, p) => build.deleteFrom('store').where('key', '=', p.key))
  return {
    get: async (key) => (await first(sql, get({ key })))?.value,
    set: async (key, value) => void (await sql.all(set({ key, value }))),
    remove: async (key) => void (await sql.all(remove({ key }))),
  }
}
