/** Every link file that a repository must have, as SQL says, in pages. */
import type { Facts } from '../metadata/facts.ts'
import type { PastTagPlace, RevisionRow } from '../metadata/facts-upkeep.ts'
import type { Digest } from '../oci/digest.ts'
import type { RepositoryName, Tag } from '../oci/name.ts'
import type { ObjectKey } from '../storage/driver.ts'
import { layout } from '../storage/layout.ts'
import { othersTurn } from './adopt/portions.ts'

const pageSize = 500

type Reading = Pick<Facts, 'read'>

export async function* keysInSql(
  { read }: Reading,
  name: RepositoryName,
  id: number,
): AsyncIterable<readonly ObjectKey[]> {
  const { layers, revisions, history } = read.adoption
  for await (const page of pagesOf((after) => layers(id, after ?? '', pageSize), identity<Digest>)) {
    yield page.map((digest) => layout.layer(name, digest))
  }
  for await (const page of pagesOf<RevisionRow, string>(
    (after) => revisions(id, after ?? '', pageSize),
    (row) => row.digest,
  )) {
    yield page.map(({ digest }) => layout.revision(name, digest))
  }
  for await (const page of pagesOf((after) => read.tags.page(id, after ?? '', pageSize), identity<Tag>)) {
    yield page.map((tag) => layout.tagCurrent(name, tag))
  }
  const ofHistory = (after: PastTagPlace | undefined) => history(id, after ?? { tag: '', digest: '' }, pageSize)
  for await (const page of pagesOf(ofHistory, identity<PastTagPlace>)) {
    yield page.map(({ tag, digest }) => layout.tagIndex(name, tag as Tag, digest as Digest))
  }
}

/** Pages that begin behind the last row of the one before. */
export async function* pagesOf<Row, Place>(
  page: (after: Place | undefined) => Promise<readonly Row[]>,
  placeOf: (row: Row) => Place,
): AsyncIterable<readonly Row[]> {
  for (let after: Place | undefined; ; ) {
    const rows = await page(after)
    const last = rows.at(-1)
    if (last === undefined) return
    yield rows
    after = placeOf(last)
    await othersTurn()
  }
}

const identity = <T>(value: T): T => value
