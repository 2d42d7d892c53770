import { type Digest, digestOf } from '../oci/digest.ts'
import type { RepositoryName } from '../oci/name.ts'
import type { Damage, DamageFacts } from './facts-upkeep.ts'
import type { Schema } from './schema.ts'
import { first, query, type Sql } from './sql.ts'

export function damageFacts(sql: Sql): DamageFacts {
  const add = query<Schema['damages']>()(sql, (build, p) => {
    const found = {
      long_key: p.long_key,
      kind: p.kind,
      repository: p.repository,
      digest: p.digest,
      detail: p.detail,
      found_at: p.found_at,
    }
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
    build
      .selectFrom('damages')
      .select(['key', 'long_key', 'kind', 'repository', 'digest', 'detail', 'found_at'])
      .where('key', '>', p.after)
      .orderBy('key')
      .limit(p.limit),
  )
  const any = query<object>()(sql, (build) => build.selectFrom('damages').select('key').limit(1))
  const count = query<object>()(sql, (build) =>
    build.selectFrom('damages').select((expression) => expression.fn.countAll<number>().as('rows')),
  )

  const shorten = (key: string) => shortened(key, sql.longestKey ?? Number.POSITIVE_INFINITY)

  return {
    add: async ({ key, kind, repository, digest, detail, foundAt }) => {
      const short = shorten(key)
      const place = { key: short, long_key: short === key ? null : key }
      await sql.all(add({ ...place, kind, repository, digest: digest ?? null, detail, found_at: foundAt }))
    },
    remove: async (key) => void (await sql.all(remove({ key: shorten(key) }))),
    removeOf: async (digest) => void (await sql.all(removeOf({ digest }))),
    clear: async (repository) => void (await sql.all(clear({ repository }))),
    page: async (after, limit) => (await sql.all(page({ after: shorten(after), limit }))).map(toDamage),
    any: async () => (await first(sql, any({}))) !== undefined,
    count: async () => Number((await first(sql, count({})))?.rows ?? 0),
  }
}

/** Names of files can be longer than what an index holds: such a key is known by its beginning and a digest of it all. */
function shortened(key: string, longest: number): string {
  const bytes = Buffer.from(key)
  if (bytes.length <= longest) return key
  const digest = digestOf(bytes)
  return `${bytes.toString('utf8', 0, longest - digest.length - 4)} ${digest}`
}

function toDamage(row: Schema['damages']): Damage {
  return {
    key: row.long_key ?? row.key,
    kind: row.kind,
    repository: row.repository as RepositoryName | '',
    ...(row.digest !== null && { digest: row.digest as Digest }),
    detail: row.detail,
    foundAt: row.found_at,
  }
}
