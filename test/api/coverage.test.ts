/** Nothing in the two tables of the server goes untested: each address is asked, each failure is seen by a client. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { answers } from '../../server/failures.ts'
import { routes } from '../../server/routes.ts'
import { createClient, type Reply, type Send } from '../support/client.ts'

const files = globSync('*.test.ts', { cwd: import.meta.dirname }).filter((file) => file !== 'coverage.test.ts')
const text = files.map((file) => readFileSync(new URL(file, import.meta.url), 'utf8')).join('\n')

const takesName = new Set(['startUpload', 'listTags', 'discoverIn'])

/** What each function of the client asks for. */
function calls(): ReadonlyMap<string, { readonly method: string; readonly path: string }> {
  const digest = `sha256:${'0'.repeat(64)}`
  const location = '/v2/a/blobs/uploads/00000000-0000-4000-8000-000000000000'
  let asked = { method: '', path: '' }
  const send: Send = async (method, path) => {
    asked = { method, path: path.split('?')[0] ?? '' }
    return {} as Reply
  }
  const client: Readonly<Record<string, unknown>> = createClient('http://nowhere', send)
  const found = new Map<string, typeof asked>()
  for (const [name, call] of Object.entries(client) as [string, (...args: readonly string[]) => unknown][]) {
    if (name === 'send') continue
    const overUpload = name !== 'startUpload' && /upload/i.test(name)
    const aboutContent = /^(head|get|put|delete)|^listReferrers/.test(name)
    if (overUpload) call(location)
    else if (aboutContent) call('a', digest)
    else if (takesName.has(name)) call('a')
    else call()
    found.set(name, asked)
  }
  return found
}

describe('every row of the table of routes', () => {
  for (const row of routes) {
    test(`is asked by a test: ${row.method} ${row.path}`, () => {
      const names = [...calls()].filter(([, { method, path }]) => {
        // The first row that fits is the one that answers.
        const answering = routes.find((each) => each.method === method && each.pattern.test(path))
        return answering === row
      })
      const used = names.filter(([name]) => new RegExp(`\\.${name}\\(`).test(text))
      assert.ok(used.length > 0, `no test asks for it through the client (${names.map(([name]) => name).join()})`)
    })
  }

  test('has a function of the client, and each function a row', () => {
    for (const [name, { method, path }] of calls()) {
      assert.ok(
        routes.some((row) => row.method === method && row.pattern.test(path)),
        `${name}: ${method} ${path}`,
      )
    }
  })
})

describe('every row of the table of failures', () => {
  for (const { failure } of answers) {
    test(`is seen by a client: ${failure}`, () => {
      const seen = new RegExp(`refused\\([^;]*?, '${failure}',?\\s*\\)`)
      assert.match(text, seen, `no test calls refused(..., '${failure}')`)
    })
  }
})
