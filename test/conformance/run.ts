// npm run conformance                          against a Berth started for this run
// npm run conformance -- --url http://h:p      against a registry that runs already [--username U --password P]
//   --report FOLDER keeps the suite's own report.html and junit.xml, --log prints what it said

import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { startBerth } from '../support/berth-process.ts'
import { findSuite, type Report, runSuite, serverSettings, shortcomings } from './suite.ts'

const { values } = parseArgs({
  options: {
    url: { type: 'string' },
    username: { type: 'string' },
    password: { type: 'string' },
    report: { type: 'string' },
    log: { type: 'boolean', default: false },
  },
})

const keep = values.report === undefined ? undefined : resolve(values.report)
const program = findSuite()
if (program === undefined) throw new Error('the conformance suite is not built, and go is not on PATH')
const report = values.url === undefined ? await againstOwnServer(program) : await againstUrl(program, values.url)
print(report)

async function againstUrl(suite: string, url: string): Promise<Report> {
  return runSuite(suite, { url, username: values.username ?? '', password: values.password ?? '' }, keep)
}

async function againstOwnServer(suite: string): Promise<Report> {
  const berth = await startBerth({ env: serverSettings })
  try {
    return await runSuite(suite, { url: berth.url }, keep)
  } finally {
    await berth.stop()
  }
}

function print(finished: Report): void {
  if (values.log) console.log(finished.log)
  for (const { name, result } of finished.cases) console.log(`${result.padEnd(9)} ${name}`)
  const passes = finished.cases.filter(({ result }) => result === 'Pass').length
  const others = Map.groupBy(
    finished.cases.filter(({ result }) => result !== 'Pass'),
    ({ result }) => result,
  )
  const counts = [...others].map(([result, some]) => `, ${some.length} ${result}`).join('')
  console.log(`\n${passes} of ${finished.cases.length} Pass${counts} (${finished.checks.tests} single checks)`)
  for (const problem of shortcomings(finished)) console.log(`- ${problem}`)
  process.exitCode = shortcomings(finished).length === 0 ? 0 : 1
}
