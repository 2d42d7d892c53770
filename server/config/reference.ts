/** `docs/configuration.md`, from the schema. */
import { notOptions } from './environment.ts'
import { type ListedOption, listOptions, type Node } from './option.ts'
import { type Pending, pending } from './pending.ts'
import { root } from './schema.ts'

const opening = `# Configuration

This page is generated from the schema that the program itself uses (\`npm run docs\`). \`berth config check\` tells whether
a configuration is good, and what comes of it.

## How it is put together

A setting has the first of these values that is there:

1. its **environment variable**: \`REGISTRY_\` and the path in capitals, \`http.tls.key\` as \`REGISTRY_HTTP_TLS_KEY\`
2. the **file**, in YAML or JSON: the one named as argument (\`berth serve config.yml\`), else by
   \`REGISTRY_CONFIGURATION_PATH\`. The container image names \`/etc/distribution/config.yml\` or
   \`/etc/docker/registry/config.yml\`, where one is mounted; nothing else is looked for.
3. its **default**

No file is needed. The format is that of CNCF distribution (\`registry:2\`, \`registry:3\`), version 0.1, with some sections
of Berth's own; one file can serve both.

- **Values of variables are YAML**, so that a list or a map can be given at once:
  \`REGISTRY_HTTP_HEADERS='{X-Frame-Options: [deny]}'\`. An entry of a list has its index in its name
  (\`REGISTRY_HTTP_TRUSTEDPROXIES_0\`), an entry of a map its key (\`REGISTRY_LOG_FIELDS_SERVICE\`). Variables are applied in
  the order of their names.
- **A storage driver that variables name takes the place of the one in the file**; \`delete\`, \`maintenance\` and the like
  stay as the file has them. \`REGISTRY_STORAGE=inmemory\` and \`REGISTRY_AUTH=none\` name one without options.
- **An empty variable** resets an option to its default. Where that could open, misplace or expose something it is an
  error.
- **Secrets** can come from a file: \`REGISTRY_HTTP_SECRET_FILE=/run/secrets/http\`, or in the configuration file
  \`secret_file: /run/secrets/http\`. No command and no log shows them.
- **Where data lives** is said by \`REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY\`, else by \`STORAGE_PATH\` (honoured with a
  warning), else by the file, else it is \`./data\`.
- **Durations** are written \`1h30m\`, \`45s\`, \`100ms\`. A number without a unit is nanoseconds, as in distribution; where
  that looks like a slip, there is a warning. **Sizes** are bytes, or written \`4MiB\` (1024) or \`4MB\` (1000).
- **Unknown names** are told in the log. One that resembles an option which restricts access, says where data lives or
  protects it is an error, and so is such an option that this version does not have (the last table).
- All errors are told at once, each with its path, what was expected, and where it stands.

## Options
`

export function renderConfiguration(): string {
  const sections = root.type === 'section' ? [...root.children] : []
  const [plain, grouped] = [sections.filter(([, node]) => node.type === 'option'), sections.filter(isSection)]
  return [
    opening,
    optionTable(plain.flatMap(([name, node]) => listOptions(node, [name]))),
    ...grouped.map(([name, node]) => renderSection(name, node)),
    renderPending(),
  ].join('\n')
}

function isSection(entry: [string, Node]): entry is [string, Extract<Node, { type: 'section' }>] {
  return entry[1].type === 'section'
}

function renderSection(name: string, node: Extract<Node, { type: 'section' }>): string {
  const empty = listEmptySections(node, [name]).map(({ path, description }) => `\`${path}\`: ${description}\n`)
  return [`### ${name}\n`, `${node.description}\n`, ...empty, optionTable(listOptions(node, [name]))].join('\n')
}

/** Sections that say something by being there. */
function listEmptySections(node: Node, path: readonly string[]): { path: string; description: string }[] {
  if (node.type === 'option') return []
  if (node.children.size === 0) return [{ path: path.join('.'), description: node.description }]
  return [...node.children].flatMap(([key, child]) => listEmptySections(child, [...path, key]))
}

function optionTable(options: readonly ListedOption[]): string {
  const rows = options.map(({ path, facts }) =>
    tableRow([`\`${path.join('.')}\``, variablesOf(path, facts), facts.kind.name, defaultOf(facts), facts.description]),
  )
  return `${['| Option | Variable | Type | Default | Meaning |', '|---|---|---|---|---|', ...rows].join('\n')}\n`
}

function defaultOf({ default: fallback, defaultNote, required }: ListedOption['facts']): string {
  if (required) return 'required'
  return fallback === undefined ? (defaultNote ?? '') : `\`${fallback}\``
}

function variablesOf(path: readonly string[], { secret }: ListedOption['facts']): string {
  const name = ['REGISTRY', ...path].join('_').toUpperCase()
  if (notOptions.has(name)) return ''
  return secret ? `\`${name}\`, \`${name}_FILE\`` : `\`${name}\``
}

function tableRow(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

function renderPending(): string {
  const rowOf = ({ path, because }: Pending): string => tableRow([`\`${path}\``, because])
  const table = (verdict: Pending['verdict']): string[] => [
    '| Option | Because |',
    '|---|---|',
    ...pending.filter((entry) => entry.verdict === verdict).map(rowOf),
    '',
  ]
  return [
    '## Known options that this version does not have\n',
    'With one of these the registry refuses to start:\n',
    ...table('refuse'),
    'These are named in the log and have no effect:\n',
    ...table('warn'),
  ].join('\n')
}
