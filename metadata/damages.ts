import type { Digest } from '../oci/digest.ts'
import type { RepositoryName } from '../oci/name.ts'
import type { Damage, DamageFacts } from './facts-upkeep.ts'
import type { Schema } from './schema.ts'
import { first, query, type Sql } from './sql.ts'

export function damageFacts(sql: Sql): DamageFacts {
  const add = query<Schema['damages']>()(sql, (build, p) => {
    const found = { kind: p.kind, repository: p.repository, digest: p.digest, detail: p.detail, found_at: p.found_at }
    return build
      .insertInto('damages')
      .values({ key: p.key, ...found })
      .onConflict((conflict) => conflict.column('key').doUpdateSet(found))
  })
  const remove = query<{ key: string }>()(sql, (build, p) => build.deleteFrom('damages').where('key', '=', p.key))
  const removeOf = query<{ digest: string }>()(sql, (build, p) =>
    build.deleteFrom('damages').where('digest', '=', p.digest).where('kind', '=', 'content'),
  )
  const clear = query<{ repository: string }>()(sql, (build, p) =>
    build.deleteFrom('damages').where('repository', '=', p.repository),
  )
  const page = query<{ after: string; limit: number }>()(sql, (build, p) =>
    build.selectFrom('damages').selectAll().where('key', '>', p.after).orderBy('key').limit(p.limit),
  )
  const any = query<object>()(sql, (build) => build.selectFrom('damages').select('key').limit(1))
  const count = query<object>()(sql, (build) =>
    build.selectFrom('damages').select((expression) => expression.fn.countAll<number>().as('rows')),
  )

  return {
    add: async ({ key, kind, repository, digest, detail, foundAt }) =>
      void (await sql.all(add({ key, kind, repository, digest: digest ?? null, detail, found_at: foundAt }))),
    remove: async (key) => void (await sql.all(remove({ key }))),
    removeOf: async (digest) => void (await sql.all(removeOf({ digest }))),
    clear: async (repository) => void (await sql.all(clear({ repository }))),
    page: async (after, limit) => (await sql.all(page({ after, limit }))).map(toDamage),
    any: async () => (await first(sql, any({}))) !== undefined,
    count: async () => Number((await first(sql, count({})))?.rows ?? 0),
  }
}

function toDamage(row: Schema['damages']): Damage {
  return {
    key: row.key,
    kind: row.kind,
    repository: row.repository as RepositoryName | '',
    ...(row.digest !== null && { digest: row.digest as Digest }),
    detail: row.detail,
    foundAt: row.found_at,
  }
}
