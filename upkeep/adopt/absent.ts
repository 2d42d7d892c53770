/** Repositories that the database names and storage has not. */
import type { FactQueries } from '../../metadata/facts.ts'
import type { RepositoryName } from '../../oci/name.ts'
import { addDamage, findHidden } from './hidden.ts'
import { holdsRepository } from './names.ts'
import type { AdopterParts } from './parts.ts'
import { mapSlices, othersTurn } from './portions.ts'

const pageSize = 100

type Parts = Pick<AdopterParts, 'facts' | 'driver' | 'clock'>

/** Lists of names would show them until their turn comes. */
export async function* absentNames({ facts, driver }: Parts, signal: AbortSignal): AsyncIterable<RepositoryName> {
  for (let after = ''; ; ) {
    signal.throwIfAborted()
    const page = await facts.read.adoption.inState('unadopted', after, pageSize)
    const last = page.at(-1)
    if (!last) return
    const isThere = await mapSlices(page, ({ name }) => holdsRepository(driver, name))
    yield* page.filter((_, at) => !isThere[at]).map(({ name }) => name)
    after = last.name
    await othersTurn()
  }
}

/** As with one that is read: whatever is durable later makes this durable. */
export async function forgetRepository(
  { facts, driver, clock }: Parts,
  name: RepositoryName,
  id: number,
): Promise<void> {
  for (let left = true; left; ) {
    left = !(await facts.write((changed) => changed.adoption.clear(id, 500), { durable: false }))
  }
  const hidden = await findHidden(driver, name)
  const absent = async (changed: FactQueries) => {
    await changed.damages.clear(name)
    for (const damage of hidden) await addDamage(changed, { ...damage, foundAt: clock() })
    await changed.adoption.markAbsent(id, clock())
  }
  await facts.write(absent, { durable: false })
}
