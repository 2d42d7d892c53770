/** What the steps have in common: how columns and tables are spelled in each dialect. */
import { type Compilable, type CreateTableBuilder, type Kysely, sql as raw } from 'kysely'
import type { Schema } from '../schema.ts'

export type Dialect = 'sqlite' | 'postgres'

export interface Migration {
  readonly name: string
  readonly steps: (build: Kysely<Schema>, dialect: Dialect) => readonly Compilable<unknown>[]
}

/** Names and digests are compared byte by byte, whatever the database's locale. */
export const text = (dialect: Dialect) => (dialect === 'postgres' ? raw`text collate "C"` : raw`text`)
export const number = (dialect: Dialect) => (dialect === 'postgres' ? raw`bigint` : raw`integer`)

/** A table that is its own primary key's index. */
export function clustered<Table extends string, Columns extends string>(
  table: CreateTableBuilder<Table, Columns>,
  dialect: Dialect,
): CreateTableBuilder<Table, Columns> {
  return dialect === 'sqlite' ? table.modifyEnd(raw`without rowid`) : table
}
