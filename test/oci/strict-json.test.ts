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
      fc.property(tree, fc.array(fc.boolean(), { minLength: 1 }), (value, spellings) => {
        let count = 0
        const spell = (name: string) => (spellings[count++ % spellings.length] ? escaped(name) : JSON.stringify(name))
        const text = write(value, spell)
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
    assert.throws(() => parse('{"a": 1, "\\u0061": 2}'), /the name "a" occurs twice/)
    assert.deepEqual(parse('[{"a": 1}, {"a": 2}, "a", "a"]'), [{ a: 1 }, { a: 2 }, 'a', 'a'])
    assert.deepEqual(parse('{"a": "b", "b": "a"}'), { a: 'b', b: 'a' })
  })

  test('is UTF-8 without a mark, and JSON to its end', () => {
    assert.throws(() => parseStrictJson(Buffer.from([0x22, 0xff, 0x22])), /not UTF-8/)
    assert.throws(() => parseStrictJson(Buffer.from('{}', 'utf16le')), /not JSON/)
    for (const text of ['\uFEFF{}', '', '{', '{}{}', '{"a":1,}', "{'a':1}", '// x\n{}', 'NaN', '{"a":\n}']) {
      assert.throws(() => parse(text), NotStrictJson, JSON.stringify(text))
    }
  })

  test('may be deep and long without ending the process', () => {
    const deep = 200_000
    assert.doesNotThrow(() => parse('['.repeat(deep) + ']'.repeat(deep)))
    assert.throws(() => parse(`${'{"a":'.repeat(deep)}1${'}'.repeat(deep - 1)}`), NotStrictJson)
    assert.equal(parse(`"${'\\\\'.repeat(500_000)}"`), '\\'.repeat(500_000))
    assert.equal(parse(`"${'\\"'.repeat(500_000)}"`), '"'.repeat(500_000))
  })
})
