/** Where bytes and facts are, and what that means for how many processes and nodes can work on them. */
import type { Findings } from './problem.ts'
import { hasAddress } from './redis.ts'
import { choicesIn } from './sections.ts'
import { getIn, type TreeMap } from './tree.ts'

export function checkPlaces(tree: TreeMap, findings: Findings): void {
  const drivers = choicesIn('storage', tree['storage'])
  const postgres = getIn(tree, ['metadata', 'postgres']) !== undefined
  const sqlite = Boolean(getIn(tree, ['metadata', 'sqlite', 'path']))
  if (postgres && sqlite) {
    const expected = 'to be absent where metadata.postgres is given: facts have one place'
    findings.problems.push({ path: 'metadata.sqlite.path', expected })
  }
  if (drivers.includes('s3') && !postgres && !sqlite) {
    const expected = 'the path of a file on a local disk, or metadata.postgres: no database can be in a bucket'
    findings.problems.push({ path: 'metadata.sqlite.path', expected, found: 'nothing' })
  }
  if (drivers.includes('s3') && postgres && !hasAddress(tree['redis'] ?? null)) {
    findings.warnings.push('redis is not configured: one node may serve this bucket; several need it to work together')
  }
  if (drivers.includes('inmemory')) checkMemory(tree, postgres, findings)
}

function checkMemory(tree: TreeMap, postgres: boolean, findings: Findings): void {
  const workers = getIn(tree, ['http', 'workers'])
  if (typeof workers === 'string' && Number(workers) > 1) {
    const expected = '1 or auto, because no other process sees what storage.inmemory holds'
    findings.problems.push({ path: 'http.workers', expected, found: workers })
  }
  if (postgres) {
    const expected = 'to be absent: what it says would outlive what storage.inmemory holds'
    findings.problems.push({ path: 'metadata.postgres', expected })
  }
}
