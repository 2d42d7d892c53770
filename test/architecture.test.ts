/** The rules of the architecture, held against the sources. Each rule is also shown to be able to fail. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileRules, findCycle, folderRules, forbidden, importsOf, type Source } from './contracts/import-rules.ts'
import { foreignWaits, measureFunctions } from './contracts/source-measure.ts'
import { projectRoot } from './support/tools.ts'

const longestFile = 300
const longestFunction = 50
const drawers = /(?:^|\/)(?:index|utils?|helpers?|common|misc|manager|types)(?:\.ts|\/|$)/

const read = (path: string): Source => ({ path, text: readFileSync(join(projectRoot, path), 'utf8') })
const sources = globSync(`{${Object.keys(folderRules).join(',')}}/**/*.ts`, { cwd: projectRoot })
  .sort()
  .map(read)
const tests = globSync('test/**/*.ts', { cwd: projectRoot }).sort().map(read)

const source = (path: string, text: string): Source => ({ path, text })
const importing = (path: string, specifier: string): string[] => wrongImports([source(path, `import '${specifier}'\n`)])

function wrongImports(files: readonly Source[]): string[] {
  return files.flatMap(importsOf).flatMap((each) => forbidden(each) ?? [])
}

function tooLong({ path, text }: Source): string[] {
  const lines = text.split('\n').length - 1
  const long = measureFunctions(text).filter((each) => each.lines > longestFunction)
  return [
    ...(lines > longestFile ? [`${path} has ${lines} lines`] : []),
    ...long.map((each) => `${path}:${each.line} has a function of ${each.lines} lines`),
  ]
}

/** A test that is left out must say why, and none may leave out the others. */
function leftOut({ path, text }: Source): string[] {
  const marks =
    /\b(?:test|it|describe|suite)\.(?:skip|only|todo)\b|\b(?:skip|only|todo): true\b|\bt\.(?:skip|todo)\(\s*\)/g
  return [...text.matchAll(marks)].map(([mark]) => `${path}: ${mark}`)
}

function usesEnvironment({ path, text }: Source): string[] {
  const may = path.startsWith('server/config/') || path.startsWith('cli/')
  return !may && /\bprocess\.env\b/.test(text) ? [`${path} reads process.env`] : []
}

describe('the sources', () => {
  test('are found', () => {
    assert.ok(sources.length > 80, `only ${sources.length} files`)
    assert.ok(sources.flatMap(importsOf).length > 250)
    for (const path of Object.keys(fileRules))
      assert.ok(
        sources.some((each) => each.path === path),
        path,
      )
  })

  test('import only what their folder may', () => assert.deepEqual(wrongImports(sources), []))

  test('import nothing in a circle', () => assert.equal(findCycle(sources), undefined))

  test('have no drawers and no barrels', () => {
    assert.deepEqual(
      sources.filter(({ path }) => drawers.test(path)).map(({ path }) => path),
      [],
    )
  })

  test('are in short files of short functions', () => assert.deepEqual(sources.flatMap(tooLong), []))

  test('read the environment in one place', () => assert.deepEqual(sources.flatMap(usesEnvironment), []))

  test('wait for nothing but queries inside a transaction', () => {
    assert.deepEqual(
      sources.flatMap(({ path, text }) => foreignWaits(text).map((wait) => `${path}: await ${wait}`)),
      [],
    )
  })
})

describe('the tests', () => {
  test('leave nothing out without a reason', () => {
    assert.deepEqual(tests.filter(({ path }) => path !== 'test/architecture.test.ts').flatMap(leftOut), [])
  })
})

describe('a rule is broken by', () => {
  test('a folder that reaches for another', () => {
    const planted = [
      ['oci/x.ts', '../storage/driver.ts'],
      ['storage/x.ts', '../metadata/facts.ts'],
      ['metadata/x.ts', '../storage/driver.ts'],
      ['registry/x.ts', '../metadata/sqlite.ts'],
      ['registry/x.ts', '../storage/blob-store.ts'],
      ['registry/x.ts', '../coordination/in-process.ts'],
      ['upkeep/x.ts', '../registry/uploads.ts'],
      ['auth/x.ts', '../server/app.ts'],
      ['mirror/x.ts', '../registry/local.ts'],
      ['server/handlers/x.ts', '../../registry/settle.ts'],
      ['server/handlers/x.ts', '../../storage/layout.ts'],
      ['server/main.ts', '../registry/local.ts'],
      ['server/compose.ts', '../cli/main.ts'],
      ['cli/x.ts', '../metadata/sqlite.ts'],
      ['elsewhere/x.ts', '../oci/digest.ts'],
    ] as const
    for (const [path, specifier] of planted) assert.equal(importing(path, specifier).length, 1, `${path} ${specifier}`)
  })

  test('a package in the wrong place, or one that nobody knows', () => {
    const planted = [
      ['registry/x.ts', 'koa'],
      ['auth/x.ts', 'koa'],
      ['server/handlers/x.ts', '@koa/router'],
      ['registry/x.ts', 'kysely'],
      ['server/handlers/x.ts', 'zod'],
      ['server/x.ts', 'lodash'],
      ['oci/x.ts', 'node:fs'],
      ['registry/x.ts', 'node:fs'],
      ['registry/x.ts', 'node:http'],
      ['storage/x.ts', 'node:sqlite'],
      ['storage/blob-store.ts', '@aws-sdk/client-s3'],
    ] as const
    for (const [path, specifier] of planted) assert.equal(importing(path, specifier).length, 1, `${path} ${specifier}`)
    assert.deepEqual(importing('metadata/x.ts', 'kysely/helpers/postgres'), [])
  })

  test('a driver that is loaded before it is chosen', () => {
    const path = '../storage/drivers/memory.ts'
    assert.equal(importing('server/compose.ts', path).length, 1)
    assert.deepEqual(wrongImports([source('server/compose.ts', `const x = await import('${path}')\n`)]), [])
  })

  test('every way of writing an import', () => {
    const ways = [
      "import koa from 'koa'",
      "import type koa from 'koa'",
      "import { type a, b } from 'koa'",
      "import {\n  a,\n  b,\n} from 'koa'",
      "import * as koa from 'koa'",
      "export { a } from 'koa'",
      "export * from 'koa'",
      "import 'koa'",
      "const koa = await import('koa')",
    ]
    for (const way of ways) assert.equal(wrongImports([source('oci/x.ts', `${way}\n`)]).length, 1, way)
    const type = source('registry/x.ts', "import type { BlobStore } from '../storage/blob-store.ts'\n")
    assert.deepEqual(wrongImports([type]), [])
  })

  test('a circle', () => {
    const files = ['a', 'b', 'c'].map((name, n) => source(`oci/${name}.ts`, `import './${'bca'[n]}.ts'\n`))
    assert.deepEqual(findCycle(files), ['oci/a.ts', 'oci/b.ts', 'oci/c.ts', 'oci/a.ts'])
    assert.equal(findCycle(files.slice(1)), undefined)
  })

  test('a drawer', () => {
    for (const path of ['oci/index.ts', 'server/utils/x.ts', 'server/helpers.ts', 'types/x.ts'])
      assert.match(path, drawers)
    for (const path of ['oci/media-types.ts', 'server/app.ts', 'oci/indexes.ts']) assert.doesNotMatch(path, drawers)
  })

  test('a long file and a long function of any kind, but not by short ones inside another', () => {
    const body = (lines: number) => '  go()\n'.repeat(lines)
    const long = [
      (lines: number) => `function x(a: { b: string }): { c: number } {\n${body(lines)}}\n`,
      (lines: number) => `const x = async (a: string): Promise<void> => {\n${body(lines)}}\n`,
      (lines: number) => `class X {\n  go(): void {\n${body(lines)}  }\n}\n`,
      (lines: number) => `const x = { go() {\n${body(lines)}} }\n`,
      (lines: number) => `const x = (a) =>\n  a\n${'    .go()\n'.repeat(lines)}\n`,
    ]
    for (const write of long) {
      assert.deepEqual(tooLong(source('x.ts', write(45))), [], write(1))
      assert.equal(tooLong(source('x.ts', write(60))).length, 1, write(1))
    }
    const nested = `function x() {\n${`  function y() {\n${body(30)}  }\n`.repeat(5)}}\n`
    assert.deepEqual(tooLong(source('x.ts', nested)), [])
    assert.equal(tooLong(source('x.ts', `if (a) {\n${body(60)}}\n`)).length, 0)
    assert.equal(tooLong(source('x.ts', body(301))).length, 1)
    const tricky = `const a = '{' // {\nconst b = /[{/]{/\nconst c = \`{\${'}'}\`\n${long[0]?.(60)}`
    assert.equal(tooLong(source('x.ts', tricky)).length, 1)
  })

  test('a transaction that waits for something else', () => {
    const planted = [
      'facts.write(async (changed) => {\n  await driver.write(key)\n})',
      'facts.write(async (changed) => {\n  await changed.tags.set()\n  await sleep(1)\n})',
      'async function x(changed: FactQueries, y: string): Promise<void> {\n  await facts.read.store.get(y)\n}',
    ]
    for (const text of planted) assert.equal(foreignWaits(text).length, 1, text)
    const fine =
      'facts.write(async (changed) => {\n  if (await changed.a.b()) await owe(changed, keys)\n  return (await changed.c.d()).e\n})\nawait other()'
    assert.deepEqual(foreignWaits(fine), [])
  })

  test('a test that is left out, and a setting that is read elsewhere', () => {
    for (const text of ['test.skip(', "test('x', { skip: true }", 't.skip()', 'describe.only(', 'it.todo(']) {
      assert.equal(leftOut(source('x.test.ts', text)).length, 1, text)
    }
    assert.deepEqual(leftOut(source('x.test.ts', "t.skip('not tried here: it is not on PATH')")), [])
    assert.equal(usesEnvironment(source('registry/x.ts', 'process.env.X')).length, 1)
  })
})
