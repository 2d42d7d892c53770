import { type Compilable, type Kysely, sql as raw } from 'kysely'
import type { Schema } from '../schema.ts'
import { clustered, type Dialect, number, text } from './tables.ts'

export function firstTables(build: Kysely<Schema>, dialect: Dialect): readonly Compilable<unknown>[] {
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
