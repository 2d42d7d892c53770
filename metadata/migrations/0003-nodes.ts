import type { Compilable, Kysely } from 'kysely'
import type { Schema } from '../schema.ts'
import { type Dialect, number, text } from './tables.ts'

/** What several nodes need who share a database. */
export function nodeTables(build: Kysely<Schema>, dialect: Dialect): readonly Compilable<unknown>[] {
  const table = build.schema
  return [
    table.alterTable('uploads').addColumn('version', number(dialect), (c) => c.notNull().defaultTo(0)),
    table.alterTable('damages').addColumn('long_key', text(dialect)),
  ]
}
