/** What coordination promises, whatever it goes through. One call runs every case against it. */
import { describe, type TestContext, test } from 'node:test'
import type { Coordination } from '../../coordination/coordination.ts'
import { lockCases } from './coordination-locks.ts'
import { counterCases, flightCases, noticeCases } from './coordination-shared.ts'
import type { CoordinationCase, Nodes } from './coordination-tools.ts'

const cases: Readonly<Record<string, CoordinationCase>> = {
  ...lockCases,
  ...noticeCases,
  ...counterCases,
  ...flightCases,
}

/** `open` makes nodes that share what no other case knows of; those of one call may be the same. */
export function describeCoordination(name: string, open: (t: TestContext) => Promise<Nodes>): void {
  describe(`${name} as coordination`, () => {
    for (const [title, run] of Object.entries(cases)) {
      test(title, async (t) => {
        const nodes = await open(t)
        try {
          await run(nodes)
        } finally {
          await Promise.all([...new Set<Coordination>(nodes)].map((node) => node.close()))
        }
      })
    }
  })
}
