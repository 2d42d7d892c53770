/** What is wrong with a configuration, all of it at once. */

export interface ConfigProblem {
  /** The option, `http.addr`; or the file or variable, where no option can be named. */
  readonly path: string
  readonly expected: string
  /** What stands there instead; never of an option that holds a secret. */
  readonly found?: string
  /** Where it stands: `config.yml:12`, or the name of a variable. */
  readonly source?: string
}

export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly ConfigProblem[]

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(describeProblem).join('\n'))
    this.problems = problems
  }
}

export function describeProblem({ path, expected, found, source }: ConfigProblem): string {
  const instead = found === undefined ? '' : `, found ${found}`
  return `${path}: expected ${expected}${instead}${source === undefined ? '' : ` (${source})`}`
}

/** Collects while the configuration is read, so that nobody mends one mistake only to meet the next. */
export interface Findings {
  readonly problems: ConfigProblem[]
  readonly warnings: string[]
}
