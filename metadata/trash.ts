import { sql as raw } from 'kysely'
import type { Digest } from '../oci/digest.ts'
import type { RepositoryName, Tag, UploadId } from '../oci/name.ts'
import type { NewTrash, TrashFacts, TrashRow } from './facts-upkeep.ts'
import type { Schema } from './schema.ts'
import { batches, first, query, type Sql, statement } from './sql.ts'

type Stored = Schema['trash'] & { repository: string }

export function trashFacts(sql: Sql): TrashFacts {
  const find = query<{ id: string }>()(sql, (build, p) => stored(build).where('trash.id', '=', p.id))
  const ofDigest = query<{ repository: number; digest: string }>()(sql, (build, p) =>
    stored(build)
      .where('trash.repository_id', '=', p.repository)
      .where('trash.digest', '=', p.digest)
      .orderBy('trash.deleted_at', 'desc')
      .orderBy('trash.id', 'desc'),
  )
  const page = query<{ deletedAt: number; id: string; before: number; limit: number }>()(sql, (build, p) =>
    stored(build)
      .where(raw<boolean>`(trash.deleted_at, trash.id) > (${p.deletedAt}, ${p.id})`)
      .where('trash.deleted_at', '<', p.before)
      .orderBy('trash.deleted_at')
      .orderBy('trash.id')
      .limit(p.limit),
  )
  const remove = query<{ id: string }>()(sql, (build, p) => build.deleteFrom('trash').where('id', '=', p.id))
  const release = query<{ id: string }>()(sql, (build, p) =>
    build.deleteFrom('trash_references').where('trash_id', '=', p.id).returning('child'),
  )
  const references = query<{ id: string }>()(sql, (build, p) =>
    build.selectFrom('trash_references').select('child').where('trash_id', '=', p.id),
  )
  const count = query<object>()(sql, (build) =>
    build.selectFrom('trash').select((expression) => expression.fn.countAll<number>().as('rows')),
  )

  return {
    add: createAdd(sql),
    find: async (id) => {
      const row = await first(sql, find({ id }))
      return row && toTrash(row)
    },
    ofDigest: async (repository, digest) => (await sql.all(ofDigest({ repository, digest }))).map(toTrash),
    page: async (after, before, limit) => {
      const { deletedAt, id } = after ?? { deletedAt: Number.MIN_SAFE_INTEGER, id: '' }
      return (await sql.all(page({ deletedAt, id, before, limit }))).map(toTrash)
    },
    references: async (id) => (await sql.all(references({ id }))).map((row) => row.child as Digest),
    remove: async (id) => {
      await sql.all(remove({ id }))
      return (await sql.all(release({ id }))).map((row) => row.child as Digest)
    },
    count: async () => Number((await first(sql, count({})))?.rows ?? 0),
  }
}

/** The name of a deleted repository too: what was in it can come back. */
function stored(build: Sql['build']) {
  return build
    .selectFrom('trash')
    .innerJoin('repositories', 'repositories.id', 'trash.repository_id')
    .select(['trash.id', 'trash.repository_id', 'trash.kind', 'trash.digest', 'trash.media_type', 'trash.tags'])
    .select(['trash.reason', 'trash.deleted_at', 'trash.deleted_by', 'repositories.name as repository'])
}

function createAdd(sql: Sql): TrashFacts['add'] {
  const insert = query<Schema['trash']>()(sql, (build, p) =>
    build.insertInto('trash').values({
      id: p.id,
      repository_id: p.repository_id,
      kind: p.kind,
      digest: p.digest,
      media_type: p.media_type,
      tags: p.tags,
      reason: p.reason,
      deleted_at: p.deleted_at,
      deleted_by: p.deleted_by,
    }),
  )
  return async (entry, references) => {
    await sql.all(insert(toRow(entry)))
    for (const batch of batches(references)) {
      const rows = batch.map((child) => ({ repository_id: entry.repositoryId, trash_id: entry.id, child }))
      const kept = sql.build
        .insertInto('trash_references')
        .values(rows)
        .onConflict((conflict) => conflict.doNothing())
      await sql.all(statement(kept))
    }
  }
}

function toRow(entry: NewTrash): Schema['trash'] {
  return {
    id: entry.id,
    repository_id: entry.repositoryId,
    kind: entry.kind,
    digest: entry.digest,
    media_type: entry.mediaType,
    tags: JSON.stringify(entry.tags),
    reason: entry.reason,
    deleted_at: entry.deletedAt,
    deleted_by: entry.deletedBy ?? null,
  }
}

function toTrash(row: Stored): TrashRow {
  return {
    id: row.id as UploadId,
    repositoryId: row.repository_id,
    repository: row.repository as RepositoryName,
    kind: row.kind,
    digest: row.digest as Digest,
    mediaType: row.media_type,
    tags: JSON.parse(row.tags) as Tag[],
    reason: row.reason,
    deletedAt: row.deleted_at,
    ...(row.deleted_by !== null && { deletedBy: row.deleted_by }),
  }
}
