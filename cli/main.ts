/** The command line: what there is, and how a person learns it. What a command does is in its own file. */
import { basename } from 'node:path'
import { Command } from 'commander'
import manifest from '../package.json' with { type: 'json' }
import { addBackupCommand } from './backup.ts'
import { addConfigCommands } from './config.ts'
import { exitOnFailure } from './failure.ts'
import { addGcCommands } from './gc.ts'
import { addHealthcheckCommand } from './healthcheck.ts'
import { addOwnershipCommands } from './ownership.ts'
import { addReadOnlyCommand } from './readonly.ts'
import { addServeCommand } from './serve.ts'
import { addStatusCommand } from './status.ts'
import { addTrashCommands } from './trash.ts'
import { addVerifyCommand } from './verify.ts'

const examples = `
Examples:
  berth serve                        a complete registry on port 5000, in the folder ./data
  berth serve config.yml             with a configuration file, of distribution or of Berth
  REGISTRY_HTTP_ADDR=:8080 berth serve
                                     any option also as a variable: http.addr is REGISTRY_HTTP_ADDR
  berth config check config.yml      is it right, and what comes of it?
  berth healthcheck                  does the registry on this machine take traffic?
  berth status                       what is in the store, and what is it busy with?
  berth gc --dry-run                 what could be freed, and why?
  berth trash list                   what was deleted and can be had back?

Then: docker tag alpine localhost:5000/alpine && docker push localhost:5000/alpine
Every option is described in docs/configuration.md.`

/** `argv` as in `process.argv`. */
export async function run(argv: readonly string[]): Promise<void> {
  const [, program = 'berth', ...rest] = argv
  await exitOnFailure(() => createProgram(nameOf(program)).parseAsync(plainFlags(expandFile(rest)), { from: 'user' }))
}

/** Scripts written for distribution call `registry`, and are answered by that name. */
function nameOf(program: string): string {
  return basename(program).replace(/\.js$/, '') === 'registry' ? 'registry' : 'berth'
}

/** `berth config.yml`: the images of distribution take a file alone. */
function expandFile(args: readonly string[]): string[] {
  return /\.ya?ml$/i.test(args[0] ?? '') ? ['serve', ...args] : [...args]
}

/** `--delete-untagged=true`: the commands of distribution take switches with a value as well. */
function plainFlags(args: readonly string[]): string[] {
  if (args[0] !== 'garbage-collect') return [...args]
  return args.flatMap((arg) => {
    const [, flag, value = ''] = /^(--[a-z-]+|-[a-z])=(true|false|t|f|1|0)$/i.exec(arg) ?? []
    if (flag === undefined) return [arg]
    return /^[t1]/i.test(value) ? [flag] : []
  })
}

function createProgram(name: string): Command {
  const program = new Command(name)
    .description('A self-hosted OCI image registry: one process, one folder, every client.')
    .version(manifest.version, '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .showHelpAfterError(`(${name} --help tells what there is)`)
    .addHelpText('after', examples.replaceAll('  berth ', `  ${name} `))
  addServeCommand(program)
  addConfigCommands(program)
  addHealthcheckCommand(program)
  addStatusCommand(program)
  addGcCommands(program)
  addTrashCommands(program)
  addVerifyCommand(program)
  addBackupCommand(program)
  addReadOnlyCommand(program)
  addOwnershipCommands(program)
  return program
}
