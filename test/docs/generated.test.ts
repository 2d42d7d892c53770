/** Pages that are made from the program's tables say what the program does now. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { pages } from '../../docs/generate.ts'
import { projectRoot } from '../support/tools.ts'

for (const { file, render } of pages()) {
  test(`docs/${file} is what npm run docs writes`, () => {
    assert.equal(readFileSync(join(projectRoot, 'docs', file), 'utf8'), render())
  })
}
