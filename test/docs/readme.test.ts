/** What the pages tell people to type exists, and what they point to is there. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import manifest from '../../package.json' with { type: 'json' }
import { projectRoot } from '../support/tools.ts'

const read = (name: string): string => readFileSync(join(projectRoot, name), 'utf8')
const pages = globSync(['*.md', 'docs/**/*.md', 'bench/*.md'], { cwd: projectRoot }).sort()
const generated = ['docs/configuration.md', 'docs/api.md']
const configuration = read('docs/configuration.md')

const blocks = (text: string): string[] =>
  [...text.matchAll(/^```\w*\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? '')
const withoutBlocks = (text: string): string => text.replace(/^```[\s\S]*?^```$/gm, '')
const spans = (text: string): string[] =>
  [...withoutBlocks(text).matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '')
/** Everything that stands in a page as code. */
const codeOf = (text: string): string => [...blocks(text), ...spans(text)].join('\n')
const headings = (text: string): string[] => [...withoutBlocks(text).matchAll(/^#+ .+$/gm)].map(([line]) => line)

describe('what one is told to type', () => {
  const help = spawnSync(process.execPath, [join(projectRoot, 'bin', 'berth.js'), '--help'], {
    encoding: 'utf8',
  }).stdout
  const commands = [...help.matchAll(/^ {2}([a-z-]+)(?: [[<].*[\]>])? {2,}\S/gm)].map((match) => match[1])
  // What the image runs as it stands.
  const others = ['sh']

  for (const page of pages) {
    test(page, () => {
      const code = codeOf(read(page))
      for (const [line, script] of code.matchAll(/npm run ([\w:-]+)/g)) {
        assert.ok(script && script in manifest.scripts, `${line} is no script`)
      }
      for (const [line, script] of code.matchAll(/npm (start|test)\b/g)) {
        assert.ok(script && script in manifest.scripts, `${line} is no script`)
      }
      for (const [line, command] of code.matchAll(
        /(?:bin\/berth\.js|(?<![\w/.-])(?:berth|registry)) ([a-z][a-z-]*)/g,
      )) {
        assert.ok(command && [...commands, ...others].includes(command), `${line} is no command`)
      }
      for (const [, file] of code.matchAll(/\bnode (\w[\w/.-]*\.[jt]s)\b/g)) {
        assert.ok(existsSync(join(projectRoot, file ?? '')), `${file} is not there`)
      }
    })
  }
})

describe('options and variables that are named', () => {
  const sections = 'log|storage|metadata|auth|http|catalog|tags|validation|health'
  for (const page of pages.filter((name) => !generated.includes(name))) {
    test(page, () => {
      const code = codeOf(read(page))
      for (const [variable] of code.matchAll(/REGISTRY_[A-Z0-9_]+\b(?!\*)/g)) {
        if (variable.endsWith('_')) continue
        assert.ok(configuration.includes(variable), `${variable} is no variable`)
      }
      for (const span of spans(read(page))) {
        const [, option] = new RegExp(`^((?:${sections})\\.[a-z.]+[a-z])(?:: .*)?$`).exec(span) ?? []
        if (option) assert.ok(configuration.includes(option), `${option} is no option`)
      }
    })
  }
})

describe('links', () => {
  for (const page of pages) {
    test(page, () => {
      for (const [, target = ''] of withoutBlocks(read(page)).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^https?:/.test(target)) continue
        const [file = '', anchor] = target.split('#')
        const path = file === '' ? page : join(dirname(page), file)
        assert.ok(existsSync(join(projectRoot, path)), `${target} is not there`)
        if (anchor) assert.ok(headings(read(path)).map(anchorOf).includes(anchor), `${target} has no such heading`)
      }
    })
  }
})

function anchorOf(heading: string): string {
  const text = heading.replace(/^#+ /, '').toLowerCase()
  return text.replace(/[^\p{L}\p{N} -]/gu, '').replaceAll(' ', '-')
}

describe('the Chinese page says what the English one says', () => {
  const [english, chinese] = [read('README.md'), read('README.zh-CN.md')]
  test('they lead to each other', () => {
    assert.match(english, /\]\(README\.zh-CN\.md\)/)
    assert.match(chinese, /\]\(README\.md\)/)
  })
  test('as many headings of the same levels', () => {
    const levels = (text: string): string[] => headings(text).map((line) => line.replace(/ .*/, ''))
    assert.deepEqual(levels(chinese), levels(english))
  })
  test('the same code', () => {
    assert.deepEqual(blocks(chinese), blocks(english))
  })
  test('tables of the same size', () => {
    const rows = (text: string): number[] =>
      text
        .split('\n')
        .filter((line) => line.startsWith('|'))
        .map(cells)
    const cells = (line: string): number => line.split('|').length
    assert.deepEqual(rows(chinese), rows(english))
  })
  test('the same links, but for the other page', () => {
    const links = (text: string): string[] =>
      [...text.matchAll(/\]\(([^)]+)\)/g)].map((match) => match[1] ?? '').filter((link) => !link.startsWith('README'))
    assert.deepEqual(links(chinese).sort(), links(english).sort())
  })
})
