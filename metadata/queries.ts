import { adoptionFacts } from './adoption.ts'
import { blobFacts } from './blobs.ts'
import { collectionFacts } from './collection.ts'
import { damageFacts } from './damages.ts'
import type { FactQueries } from './facts.ts'
import { manifestFacts } from './manifests.ts'
import { owedFacts } from './owed.ts'
import { repositoryFacts } from './repositories.ts'
import { reviewFacts } from './reviews.ts'
import type { Sql } from './sql.ts'
import { storeFacts } from './store.ts'
import { tagFacts } from './tags.ts'
import { trashFacts } from './trash.ts'
import { uploadFacts } from './uploads.ts'

/** Every fact's queries over one connection. Made once a connection: each compiles its statements on first use. */
export function factQueries(sql: Sql): FactQueries {
  return {
    store: storeFacts(sql),
    repositories: repositoryFacts(sql),
    blobs: blobFacts(sql),
    manifests: manifestFacts(sql),
    tags: tagFacts(sql),
    uploads: uploadFacts(sql),
    owed: owedFacts(sql),
    trash: trashFacts(sql),
    reviews: reviewFacts(sql),
    damages: damageFacts(sql),
    collection: collectionFacts(sql),
    adoption: adoptionFacts(sql),
  }
}
