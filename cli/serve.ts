/** `berth serve`: runs the registry. */
import type { Command } from 'commander'
import { loadSettings } from '../server/config/load.ts'

const help = `
REGISTRY_CONFIGURATION_PATH can name the file as well; none is needed. Variables win over the file.
SIGTERM and SIGINT let requests under way finish (http.draintimeout) and then stop the registry.`

export function addServeCommand(program: Command): void {
  program
    .command('serve')
    .description('run the registry')
    .argument('[config]', 'configuration file, YAML or JSON')
    .addHelpText('after', help)
    .action(serveCommand)
}

async function serveCommand(file: string | undefined): Promise<void> {
  const loaded = loadSettings({ env: process.env, file })
  // Only here: no other command needs to wait for the whole server.
  const { serve } = await import('../server/main.ts')
  await serve(loaded)
}
