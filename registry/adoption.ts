/**
 * Taking over repositories whose facts only storage knows yet, as the domain sees it (architecture, decision 5). Once
 * everything is adopted, which is the usual case, nothing here costs more than a look at a boolean.
 */
import type { FactQueries, Facts, RepositoryRow } from '../metadata/facts.ts'
import type { RepositoryName } from '../oci/name.ts'

export interface Adoption {
  /** Whether SQL is the truth of every repository. */
  readonly complete: boolean
  /** Whether a name that SQL does not know is the name of nothing. */
  readonly namesKnown: boolean
  /** Resolves when all names are known. */
  whenNamesKnown(): Promise<void>
  /** Resolves when SQL is the truth of this repository. */
  adopt(name: RepositoryName): Promise<void>
}

/** Where storage holds nothing that SQL does not know. */
export const allAdopted: Adoption = {
  complete: true,
  namesKnown: true,
  whenNamesKnown: async () => {},
  adopt: async () => {},
}

interface ChangeParts {
  readonly facts: Facts
  readonly adoption: Adoption
}

const notYet = Symbol('the repository must be adopted first')

/**
 * One transaction that changes facts of a repository, and touches no other. SQL must be their truth by then, and whether it is, only the
 * transaction itself can tell. `repository` is nothing where it does not exist.
 */
export async function changeRepository<T>(
  { facts, adoption }: ChangeParts,
  name: RepositoryName,
  work: (changed: FactQueries, repository: RepositoryRow | undefined) => Promise<T>,
): Promise<T> {
  for (let nameKnown = adoption.namesKnown; ; nameKnown = true) {
    const outcome = await facts.write(
      async (changed) => {
        const repository = await changed.repositories.find(name)
        const known = repository ? repository.state === 'adopted' : nameKnown
        return known ? work(changed, repository) : notYet
      },
      { touches: { repository: name } },
    )
    if (outcome !== notYet) return outcome
    await adoption.adopt(name)
  }
}
