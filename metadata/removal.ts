import { type Compilable, sql as raw } from 'kysely'
import type { AdoptionFacts } from './facts-upkeep.ts'
import { type Query, query, type Sql } from './sql.ts'

type Portion = { repository: number; limit: number }

/**
 * A repository may have more facts than a transaction should remove at once, and SQLite deletes without a limit: keys
 * are chosen first. Tags go before what they point to.
 */
export function createClear(sql: Sql): AdoptionFacts['clear'] {
  const portions = [
    portion(sql, 'tags', ['name']),
    portion(sql, 'tag_history', ['name', 'digest']),
    portion(sql, 'manifest_references', ['parent', 'child']),
    portion(sql, 'manifests', ['digest']),
    portion(sql, 'links', ['digest']),
  ]
  return async (repository, limit) => {
    let left = limit
    for (const remove of portions) {
      left -= (await sql.all(remove({ repository, limit: left }))).length
      if (left <= 0) return false
    }
    return true
  }
}

type Table = 'tags' | 'tag_history' | 'manifest_references' | 'manifests' | 'links'

function portion(sql: Sql, table: Table, key: readonly string[]): Query<Portion, object> {
  const columns = raw.join(key.map((column) => raw.ref(column)))
  return query<Portion>()(sql, (build, p): Compilable<object> => {
    const chosen = raw`select ${columns} from ${raw.table(table)} where repository_id = ${p.repository} limit ${p.limit}`
    return build
      .deleteFrom(table)
      .where('repository_id', '=', p.repository)
      .where(raw<boolean>`(${columns}) in (${chosen})`)
      .returning('repository_id')
  })
}
