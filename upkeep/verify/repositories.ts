/** Repository by repository: its link files, its manifests, its tags; and then folders of names that SQL does not know. */
import type { RepositoryName } from '../../oci/name.ts'
import { layout } from '../../storage/layout.ts'
import { repositoryNames } from '../../storage/repository-tree.ts'
import { othersTurn } from '../adopt/portions.ts'
import { lostCode } from './content.ts'
import { verifyLinks } from './links.ts'
import { verifyManifests, verifyTags } from './manifests.ts'
import type { VerifyParts } from './parts.ts'
import type { Run } from './run.ts'

const pageSize = 100

export async function verifyRepositories(parts: VerifyParts, run: Run): Promise<void> {
  const { adoption } = parts.facts.read
  const { adopted: total } = await adoption.counts()
  let done = 0
  for (let after = run.after; ; ) {
    const page = await adoption.inState('adopted', after, pageSize)
    for (const repository of page) {
      run.signal?.throwIfAborted()
      await verifyReadable(parts, run, repository.name, repository.id)
      await verifyManifests(parts, run, repository)
      await verifyTags(parts, run, repository)
      await run.reached(repository.name)
      run.tell({ phase: 'repositories', done: ++done, total, unit: 'repositories' })
    }
    const last = page.at(-1)
    if (!last) return
    after = last.name
    await othersTurn()
  }
}

export async function verifyNames(parts: VerifyParts, run: Run): Promise<void> {
  for await (const name of repositoryNames(parts.driver, { after: run.after })) {
    run.signal?.throwIfAborted()
    if (!(await isKnown(parts, name))) await verifyReadable(parts, run, name, undefined)
    await run.reached(name)
  }
}

/** A disk that cannot read one of its link files does not end the run. */
async function verifyReadable(parts: VerifyParts, run: Run, name: RepositoryName, id: number | undefined) {
  try {
    await verifyLinks(parts, run, name, id)
  } catch (error) {
    const code = lostCode(error)
    if (code === undefined) throw error
    const detail = `has link files that cannot be read (${code})`
    await run.report({ key: layout.repository(name), detail, usedBy: [name] })
  }
}

async function isKnown({ facts }: VerifyParts, name: RepositoryName): Promise<boolean> {
  return (await facts.read.repositories.find(name)) !== undefined
}
