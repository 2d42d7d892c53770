/** Writes the pages that are made from the program's own tables. A test compares them with what is there. */
import { writeFileSync } from 'node:fs'
import { renderConfiguration } from '../server/config/reference.ts'
import { renderApi } from './render-api.ts'

export interface Page {
  /** In this folder. */
  readonly file: string
  readonly render: () => string
}

export function pages(): readonly Page[] {
  return [
    { file: 'configuration.md', render: renderConfiguration },
    { file: 'api.md', render: renderApi },
  ]
}

if (import.meta.main) {
  for (const { file, render } of pages()) writeFileSync(new URL(file, import.meta.url), render())
}
