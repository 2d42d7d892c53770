/**
 * How the schema came to be, step by step. A step that has been released never changes; a database that knows a step
 * which this program does not know was written by a newer one, and is refused.
 */
import { type Compilable, type CreateTableBuilder, type Kysely, sql as raw } from 'kysely'
import { StartRefused } from '../oci/failure.ts'
import type { Schema } from './schema.ts'
import { type Sql, statement } from './sql.ts'

export type Dialect = 'sqlite' | 'postgres'

interface Migration {
  readonly name: string
  readonly steps: (build: Kysely<Schema>, dialect: Dialect) => readonly Compilable<unknown>[]
}

export class SchemaTooNew extends StartRefused {
  constructor(unknown: readonly string[]) {
    super(
      `the database was written by a newer Berth (it knows ${unknown.map((name) => `"${name}"`).join(', ')}, this ` +
        'program does not): start that version again, or restore the backup made before the upgrade',
    )
  }
}

/** Names and digests are compared byte by byte, whatever the database's locale. */
const text = (dialect: Dialect) => (dialect === 'postgres' ? raw`text collate "C"` : raw`text`)
const number = (dialect: Dialect) => (dialect === 'postgres' ? raw`bigint` : raw`integer`)

/** A table that is its own primary key's index. */
function clustered<Table extends string, Columns extends string>(
  table: CreateTableBuilder<Table, Columns>,
  dialect: Dialect,
): CreateTableBuilder<Table, Columns> {
  return dialect === 'sqlite' ? table.modifyEnd(raw`without rowid`) : table
}

export const migrations: readonly Migration[] = [{ name: '0001-facts', steps: firstTables }]

function firstTables(build: Kysely<Schema>, dialect: Dialect): readonly Compilable<unknown>[] {
  const table = build.schema
  const [string, integer] = [text(dialect), number(dialect)]
  const id = dialect === 'postgres' ? raw`bigint generated always as identity` : raw`integer`
  return [
    clustered(
      table.createTable('store').addColumn('key', string, (c) => c.primaryKey()),
      dialect,
    ).addColumn('value', string, (c) => c.notNull()),
    table
      .createTable('repositories')
      .addColumn('id', id, (c) => c.primaryKey())
      .addColumn('name', string, (c) => c.notNull().unique())
      .addColumn('state', string, (c) => c.notNull())
      .addColumn('created_at', integer, (c) => c.notNull())
      .addColumn('deleted_at', integer),
    clustered(
      table
        .createTable('blobs')
        .addColumn('digest', string, (c) => c.primaryKey())
        .addColumn('size', integer, (c) => c.notNull())
        .addColumn('stored_at', string)
        .addColumn('created_at', integer, (c) => c.notNull())
        .addColumn('touched_at', integer, (c) => c.notNull()),
      dialect,
    ),
    ...repositoryTables(build, dialect),
    ...workTables(build, dialect),
    table.createIndex('links_by_digest').on('links').column('digest'),
    table.createIndex('manifests_by_digest').on('manifests').column('digest'),
    table.createIndex('manifests_by_subject').on('manifests').columns(['repository_id', 'subject', 'digest']),
    table.createIndex('manifest_references_by_child').on('manifest_references').columns(['child', 'repository_id']),
    table.createIndex('tags_by_digest').on('tags').columns(['repository_id', 'digest']),
    table.createIndex('uploads_by_age').on('uploads').columns(['state', 'updated_at']),
  ]
}

function repositoryTables(build: Kysely<Schema>, dialect: Dialect): readonly Compilable<unknown>[] {
  const [string, integer] = [text(dialect), number(dialect)]
  const inRepository = (name: string) =>
    build.schema.createTable(name).addColumn('repository_id', integer, (c) => c.notNull().references('repositories.id'))
  return [
    clustered(
      inRepository('links')
        .addColumn('digest', string, (c) => c.notNull())
        .addColumn('created_at', integer, (c) => c.notNull())
        .addColumn('touched_at', integer, (c) => c.notNull())
        .addPrimaryKeyConstraint('links_key', ['repository_id', 'digest']),
      dialect,
    ),
    clustered(
      inRepository('manifests')
        .addColumn('digest', string, (c) => c.notNull())
        .addColumn('media_type', string, (c) => c.notNull())
        .addColumn('size', integer, (c) => c.notNull())
        .addColumn('subject', string)
        .addColumn('artifact_type', string)
        .addColumn('annotations', string)
        .addColumn('pushed_at', integer, (c) => c.notNull())
        .addPrimaryKeyConstraint('manifests_key', ['repository_id', 'digest']),
      dialect,
    ),
    clustered(
      inRepository('manifest_references')
        .addColumn('parent', string, (c) => c.notNull())
        .addColumn('child', string, (c) => c.notNull())
        .addPrimaryKeyConstraint('manifest_references_key', ['repository_id', 'parent', 'child']),
      dialect,
    ),
    clustered(
      inRepository('tags')
        .addColumn('name', string, (c) => c.notNull())
        .addColumn('digest', string, (c) => c.notNull())
        .addColumn('updated_at', integer, (c) => c.notNull())
        .addPrimaryKeyConstraint('tags_key', ['repository_id', 'name']),
      dialect,
    ),
    clustered(
      inRepository('tag_history')
        .addColumn('name', string, (c) => c.notNull())
        .addColumn('digest', string, (c) => c.notNull())
        .addPrimaryKeyConstraint('tag_history_key', ['repository_id', 'name', 'digest']),
      dialect,
    ),
  ]
}

function workTables(build: Kysely<Schema>, dialect: Dialect): readonly Compilable<unknown>[] {
  const [string, integer] = [text(dialect), number(dialect)]
  return [
    clustered(
      build.schema
        .createTable('uploads')
        .addColumn('id', string, (c) => c.primaryKey())
        .addColumn('repository', string, (c) => c.notNull())
        .addColumn('identity', string)
        .addColumn('state', string, (c) => c.notNull())
        .addColumn('stage', string, (c) => c.notNull())
        .addColumn('algorithm', string, (c) => c.notNull())
        .addColumn('hashed', string)
        .addColumn('committing', string)
        .addColumn('started_at', integer, (c) => c.notNull())
        .addColumn('updated_at', integer, (c) => c.notNull()),
      dialect,
    ),
    clustered(
      build.schema
        .createTable('owed')
        .addColumn('key', string, (c) => c.primaryKey())
        .addColumn('version', integer, (c) => c.notNull())
        .addColumn('since', integer, (c) => c.notNull()),
      dialect,
    ),
  ]
}

/** Brings the schema up to date inside one transaction of the caller's; says which steps ran. */
export async function migrate(sql: Sql, dialect: Dialect, now: number): Promise<string[]> {
  const [string, integer] = [text(dialect), number(dialect)]
  const journal = sql.build.schema
    .createTable('migrations')
    .ifNotExists()
    .addColumn('name', string, (c) => c.primaryKey())
    .addColumn('applied_at', integer, (c) => c.notNull())
  await sql.all(statement(journal))
  const applied = (await sql.all(statement(sql.build.selectFrom('migrations').select('name')))).map((row) => row.name)
  const unknown = applied.filter((name) => !migrations.some((migration) => migration.name === name))
  if (unknown.length > 0) throw new SchemaTooNew(unknown)
  const due = migrations.filter((migration) => !applied.includes(migration.name))
  for (const { name, steps } of due) {
    for (const step of steps(sql.build, dialect)) await sql.all(statement(step))
    await sql.all(statement(sql.build.insertInto('migrations').values({ name, applied_at: now })))
  }
  return due.map((migration) => migration.name)
}
