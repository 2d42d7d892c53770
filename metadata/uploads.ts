import type { Digest, DigestAlgorithm } from '../oci/digest.ts'
import type { RepositoryName, UploadId } from '../oci/name.ts'
import type { UploadChange, UploadFacts, UploadRow } from './facts.ts'
import type { Schema, UploadState } from './schema.ts'
import { first, query, type Sql } from './sql.ts'

const columns = [
  'id',
  'repository',
  'identity',
  'state',
  'stage',
  'algorithm',
  'hashed',
  'committing',
  'version',
  'updated_at',
] as const satisfies (keyof Schema['uploads'])[]

interface Changed {
  readonly id: string
  readonly version: number
  readonly state: UploadState | null
  readonly stage: string | null
  readonly setsHashed: 0 | 1
  readonly hashed: string | null
  readonly setsCommitting: 0 | 1
  readonly committing: string | null
  readonly updatedAt: number
}

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
      version: p.version,
      started_at: p.started_at,
      updated_at: p.updated_at,
    }),
  )
  const find = query<{ id: string }>()(sql, (build, p) =>
    build.selectFrom('uploads').select(columns).where('id', '=', p.id),
  )
  // `1`, because a database need not have booleans, nor tell an absent parameter from null.
  const change = query<Changed>()(sql, (build, p) =>
    build
      .updateTable('uploads')
      .set((row) => ({
        state: row.fn.coalesce(row.val(p.state), 'state'),
        stage: row.fn.coalesce(row.val(p.stage), 'stage'),
        hashed: row.case().when(row.val(p.setsHashed), '=', row.lit(1)).then(p.hashed).else(row.ref('hashed')).end(),
        committing: row
          .case()
          .when(row.val(p.setsCommitting), '=', row.lit(1))
          .then(p.committing)
          .else(row.ref('committing'))
          .end(),
        version: row('version', '+', 1),
        updated_at: p.updatedAt,
      }))
      .where('id', '=', p.id)
      .where('version', '=', p.version)
      .returning('id'),
  )
  const forgetHashes = query<object>()(sql, (build) =>
    build.updateTable('uploads').set({ hashed: null }).where('state', '=', 'receiving'),
  )
  const remove = query<{ id: string }>()(sql, (build, p) =>
    build.deleteFrom('uploads').where('id', '=', p.id).returning('id'),
  )
  const removeAs = query<{ id: string; version: number }>()(sql, (build, p) =>
    build.deleteFrom('uploads').where('id', '=', p.id).where('version', '=', p.version).returning('id'),
  )
  const idle = query<{ state: UploadState; before: number; limit: number }>()(sql, (build, p) =>
    build
      .selectFrom('uploads')
      .select(columns)
      .where('state', '=', p.state)
      .where('updated_at', '<', p.before)
      .orderBy('updated_at')
      .limit(p.limit),
  )

  return {
    add: async (upload) => void (await sql.all(add(toRow(upload)))),
    find: async (id) => toUpload(await first(sql, find({ id }))),
    change: async (id, version, asked) =>
      (await first(sql, change({ id, version, ...toChanged(asked) }))) !== undefined,
    forgetHashes: async () => void (await sql.all(forgetHashes({}))),
    remove: async (id, version) =>
      (await first(sql, version === undefined ? remove({ id }) : removeAs({ id, version }))) !== undefined,
    idle: async (state, before, limit) => (await sql.all(idle({ state, before, limit }))).map((row) => toUpload(row)!),
  }
}

function toChanged(change: UploadChange): Omit<Changed, 'id' | 'version'> {
  return {
    state: change.state ?? null,
    stage: change.stage ?? null,
    setsHashed: 'hashed' in change ? 1 : 0,
    hashed: change.hashed ?? null,
    setsCommitting: 'committing' in change ? 1 : 0,
    committing: change.committing ?? null,
    updatedAt: change.updatedAt,
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
    version: upload.version,
    started_at: upload.updatedAt,
    updated_at: upload.updatedAt,
  }
}

function toUpload(row: Pick<Schema['uploads'], (typeof columns)[number]> | undefined): UploadRow | undefined {
  return (
    row && {
      id: row.id as UploadId,
      repository: row.repository as RepositoryName,
      state: row.state,
      stage: row.stage,
      algorithm: row.algorithm as DigestAlgorithm,
      version: row.version,
      updatedAt: row.updated_at,
      ...(row.identity !== null && { identity: row.identity }),
      ...(row.hashed !== null && { hashed: row.hashed as Digest }),
      ...(row.committing !== null && { committing: row.committing as Digest }),
    }
  )
}
