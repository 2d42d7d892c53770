import { parseArgs } from 'node:util'

export type Options = {
  readonly only: RegExp | undefined
  readonly servers: readonly string[]
  readonly custom: readonly string[]
  readonly rounds: number
  readonly seconds: number
  readonly scale: number
  readonly quick: boolean
  readonly json: string | undefined
  readonly help: boolean
}

export const USAGE = `npm run bench -- [options]

  --only PATTERN         scenarios whose "group / name" matches this regular expression, whatever its case
  --servers A,B          only these servers, by their names or the beginnings of them
  --server NAME=COMMAND  one more server, or another command for a known name; {port}, {root} and {folder} are filled in
  --rounds N             measured rounds for each scenario and server (3; quick: 1)
  --seconds S            length of a round (2; quick: 0.5)
  --scale N              tags and repositories in the lists (10000; quick: 1000)
  --quick                small sizes and short rounds: to see that it works, not to compare
  --json FILE            every round, as JSON
  --help`

export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      servers: { type: 'string' },
      server: { type: 'string', multiple: true, default: [] },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      scale: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  const { quick } = values
  return {
    only: values.only === undefined ? undefined : new RegExp(values.only, 'i'),
    servers: values.servers?.split(',').filter((name) => name !== '') ?? [],
    custom: values.server,
    rounds: Math.max(1, Math.round(numberOf('rounds', values.rounds, quick ? 1 : 3, 100))),
    seconds: numberOf('seconds', values.seconds, quick ? 0.5 : 2, 60),
    scale: Math.max(200, Math.round(numberOf('scale', values.scale, quick ? 1000 : 10_000, 1_000_000))),
    quick,
    json: values.json,
    help: values.help,
  }
}

function numberOf(name: string, text: string | undefined, usual: number, most: number): number {
  const value = text === undefined ? usual : Number(text)
  if (!(value > 0 && value <= most)) throw new Error(`--${name} wants a number up to ${most}, not ${text}`)
  return value
}
