/** What every database of facts promises. One call runs every case, each on an empty database of its own. */
import { describe, test } from 'node:test'
import type { Facts } from '../../metadata/facts.ts'
import { adoptionCases } from './facts-adoption.ts'
import { collectionCases } from './facts-collection.ts'
import { manifestCases } from './facts-manifests.ts'
import { repositoryCases } from './facts-repositories.ts'
import { reviewCases } from './facts-reviews.ts'
import { textCases } from './facts-text.ts'
import { transactionCases } from './facts-transactions.ts'
import { trashCases } from './facts-trash.ts'
import { untaggedCases } from './facts-untagged.ts'
import { workCases } from './facts-work.ts'

export interface OpenedFacts {
  readonly facts: Facts
  /** Closes the database and opens it again, as a restart does. */
  reopen(): Promise<Facts>
  close(): Promise<void>
}

export type FactsCase = (facts: Facts, opened: OpenedFacts) => Promise<void>

const cases: Readonly<Record<string, FactsCase>> = {
  ...repositoryCases,
  ...manifestCases,
  ...workCases,
  ...textCases,
  ...transactionCases,
  ...trashCases,
  ...reviewCases,
  ...collectionCases,
  ...untaggedCases,
  ...adoptionCases,
}

export function describeFacts(name: string, open: () => Promise<OpenedFacts>, options: { skip?: string } = {}): void {
  describe(`facts in ${name}`, options, () => {
    for (const [title, run] of Object.entries(cases)) {
      test(title, async () => {
        const opened = await open()
        try {
          await run(opened.facts, opened)
        } finally {
          await opened.close()
        }
      })
    }
  })
}
