import type { Digest, DigestAlgorithm } from '../oci/digest.ts'
import type { RepositoryName, UploadId } from '../oci/name.ts'
import type { UploadFacts, UploadRow } from './facts.ts'
import type { Schema, UploadState } from './schema.ts'
import { first, query, type Sql } from './sql.ts'

export function uploadFacts(sql: Sql): UploadFacts {
  const add = query<Schema['uploads']>()(sql, (build, p) =>
    build.insertInto('uploads').values({
      id: p.id,
      repository: p.repository,
      identity: p.identity,
      state: p.state,
      stage: p.stage,
      algorithm: p.algorithm,
      hashed: p.hashed,
      committing: p.committing,
      started_at: p.started_at,
      updated_at: p.updated_at,
    }),
  )
  const find = query<{ id: string }>()(sql, (build, p) =>
    build.selectFrom('uploads').selectAll().where('id', '=', p.id),
  )
  const progress = query<{ id: string; stage: string; hashed: string | null; now: number }>()(sql, (build, p) =>
    build
      .updateTable('uploads')
      .set({ stage: p.stage, hashed: p.hashed, updated_at: p.now })
      .where('id', '=', p.id)
      .where('state', '=', 'receiving')
      .returning('id'),
  )
  const setState = query<{ id: string; state: UploadState; committing: string | null; now: number }>()(
    sql,
    (build, p) =>
      build
        .updateTable('uploads')
        .set({ state: p.state, committing: p.committing, updated_at: p.now })
        .where('id', '=', p.id),
  )
  const forgetHashes = query<object>()(sql, (build) =>
    build.updateTable('uploads').set({ hashed: null }).where('state', '=', 'receiving'),
  )
  const remove = query<{ id: string }>()(sql, (build, p) =>
    build.deleteFrom('uploads').where('id', '=', p.id).returning('id'),
  )
  const idle = query<{ state: UploadState; before: number; limit: number }>()(sql, (build, p) =>
    build
      .selectFrom('uploads')
      .selectAll()
      .where('state', '=', p.state)
      .where('updated_at', '<', p.before)
      .orderBy('updated_at')
      .limit(p.limit),
  )

  return {
    add: async (upload) => void (await sql.all(add(toRow(upload)))),
    find: async (id) => toUpload(await first(sql, find({ id }))),
    progress: async (id, stage, hashed, now) =>
      (await first(sql, progress({ id, stage, hashed: hashed ?? null, now }))) !== undefined,
    setState: async (id, state, committing, now) =>
      void (await sql.all(setState({ id, state, committing: committing ?? null, now }))),
    forgetHashes: async () => void (await sql.all(forgetHashes({}))),
    remove: async (id) => (await first(sql, remove({ id }))) !== undefined,
    idle: async (state, before, limit) => (await sql.all(idle({ state, before, limit }))).map((row) => toUpload(row)!),
  }
}

function toRow(upload: UploadRow): Schema['uploads'] {
  return {
    id: upload.id,
    repository: upload.repository,
    identity: upload.identity ?? null,
    state: upload.state,
    stage: upload.stage,
    algorithm: upload.algorithm,
    hashed: upload.hashed ?? null,
    committing: upload.committing ?? null,
    started_at: upload.updatedAt,
    updated_at: upload.updatedAt,
  }
}

function toUpload(row: Schema['uploads'] | undefined): UploadRow | undefined {
  return (
    row && {
      id: row.id as UploadId,
      repository: row.repository as RepositoryName,
      state: row.state,
      stage: row.stage,
      algorithm: row.algorithm as DigestAlgorithm,
      updatedAt: row.updated_at,
      ...(row.identity !== null && { identity: row.identity }),
      ...(row.hashed !== null && { hashed: row.hashed as Digest }),
      ...(row.committing !== null && { committing: row.committing as Digest }),
    }
  )
}
