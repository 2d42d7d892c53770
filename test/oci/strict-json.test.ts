import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { NotStrictJson, parseStrictJson } from '../../oci/strict-json.ts'

const parse = (text: string): unknown => parseStrictJson(Buffer.from(text))

/** JSON as a list of members, so that a name can stand in an object twice. */
type Tree =
  | string
  | number
  | boolean
  | null
  | readonly Tree[]
  | { readonly members: readonly (readonly [string, Tree])[] }

const names = fc.oneof(
  fc.constantFrom('a', 'b', '', '"', '\\', '{', '[', ',', '__proto__', 'é', '\n', '😀'),
  fc.string(),
)
const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.oneof(fc.string(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null)),
    fc.array(tie('tree'), { maxLength: 4 }),
    fc.array(fc.tuple(names, tie('tree')), { maxLength: 5 }).map((members) => ({ members })),
  ),
}))

function isObject(value: Tree): value is Extract<Tree, { members: unknown }> {
  return typeof value === 'object' && value !== null && 'members' in value
}

function write(value: Tree, spell: (name: string) => string): string {
  if (isObject(value))
    return `{${value.members.map(([name, each]) => `${spell(name)} : ${write(each, spell)}`).join(' ,\n')}}`
  return Array.isArray(value) ? `[${value.map((each) => write(each, spell)).join(', ')}]` : JSON.stringify(value)
}

function holdsNameTwice(value: Tree): boolean {
  if (Array.isArray(value)) return value.some(holdsNameTwice)
  if (!isObject(value)) return false
  const own = value.members.map(([name]) => name)
  return new Set(own).size < own.length || value.members.some(([, each]) => holdsNameTwice(each))
}

const escaped = (name: string): string =>
  `"${[...Array(name.length).keys()].map((at) => `\\u${name.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')}"`

describe('strict JSON', () => {
  test('is refused exactly where an object holds a name twice', () => {
    let refused = 0
    fc.assert(
      fc.property(tree, (value) => {
        const text = write(value, JSON.stringify)
        if (!holdsNameTwice(value)) return assert.deepEqual(parse(text), JSON.parse(text))
        refused++
        assert.throws(() => parse(text), NotStrictJson)
      }),
      { numRuns: 2000 },
    )
    assert.ok(refused > 50, `only ${refused} of the generated texts held a name twice`)
  })

  test('names what occurs twice', () => {
    assert.throws(() => parse('{"a": {"b": 1, "c": [{"b": 2}], "b": 3}}'), /the name "b" occurs twice/)
    assert.throws(() => parse('{"\\n": 1, "\\u000a": 2}'), /the name "\\n" occurs twice/)
    assert.deepEqual(parse('[{"a": 1}, {"a": 2}, "a", "a"]'), [{ a: 1 }, { a: 2 }, 'a', 'a'])
    assert.deepEqual(parse('{"a": "b", "b": "a"}'), { a: 'b', b: 'a' })
  })

  test('has no name of plain letters that is written with escapes, because V8 may read it wrongly', () => {
    // What makes Node 26.10 read the next name as `\\u006c`; what it reads right is no reason to take it.
    parse('{"schemaVersion": 2, "\\\\u006c": 4}')
    const needless = /the name "layers" is written with escapes that it does not need/
    assert.throws(() => parse('{"schemaVersion": 2, "\\u006cayers": [1]}'), needless)
    for (const name of ['layers', 'a', 'config']) assert.throws(() => parse(`{${escaped(name)}: 1}`), NotStrictJson)
    assert.deepEqual(parse('{"a\\u0026b": 1, "io.x\\/y": 2, "\\u00e9": "\\u0061"}'), { 'a&b': 1, 'io.x/y': 2, é: 'a' })
  })

  test('is UTF-8 without a mark, and JSON to its end', () => {
    assert.throws(() => parseStrictJson(Buffer.from([0x22, 0xff, 0x22])), /not UTF-8/)
    assert.throws(() => parseStrictJson(Buffer.from('{}', 'utf16le')), /not JSON/)
    for (const text of ['\uFEFF{}', '', '{', '{}{}', '{"a":1,}', "{'a':1}", '// x\n{}', 'NaN', '{"a":\n}']) {
      assert.throws(() => parse(text), NotStrictJson, JSON.stringify(text))
    }
  })

  test('is refused where it is nested deeper than 128 levels, however deep', () => {
    const lists = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
    const objects = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
    for (const nested of [lists, objects]) {
      assert.doesNotThrow(() => parse(nested(128)))
      assert.doesNotThrow(() => parse(`[${nested(127)}, ${nested(127)}]`))
      for (const depth of [129, 700_000]) assert.throws(() => parse(nested(depth)), /nested deeper than 128 levels/)
    }
  })

  test('of a million empty objects is read without a set for each', () => {
    const made: unknown[] = []
    const original = globalThis.Set
    globalThis.Set = class<T> extends original<T> {
      constructor(values?: Iterable<T> | null) {
        super(values)
        made.push(this)
      }
    } as typeof Set
    try {
      parse(`[{"a":[${'{},'.repeat(1_000_000)}{}]},{"a":{"a":{}}}]`)
    } finally {
      globalThis.Set = original
    }
    assert.ok(made.length <= 3, `${made.length} sets`)
  })

  test('repeats no more than the beginning of a long name', () => {
    const long = 'n'.repeat(100_000)
    assert.throws(
      () => parse(`{"${long}":1,"${long}":2}`),
      (error: Error) => error.message.includes('"nnn') && error.message.length < 300,
    )
  })

  test('may be long without ending the process', () => {
    assert.throws(() => parse(`${'{"a":'.repeat(200_000)}1${'}'.repeat(199_999)}`), NotStrictJson)
    assert.equal(parse(`"${'\\\\'.repeat(500_000)}"`), '\\'.repeat(500_000))
    assert.equal(parse(`"${'\\"'.repeat(500_000)}"`), '"'.repeat(500_000))
  })
})
