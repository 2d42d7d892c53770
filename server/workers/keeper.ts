/**
 * The parent of those that serve: it keeps the store and answers no client.
 *
 * ```
 *                       ┌──────────┐  IPC: locks, turns, notices   ┌────────┐
 *   clients ──────────► │ worker 1 │◄─────────────────────────────►│        │  root lock, recovery, adoption,
 *      one address:     ├──────────┤                               │ keeper │  duties, merging the database,
 *      whoever is free  │ worker 2 │◄─────────────────────────────►│        │  commands, probes
 *      takes the next   └────┬─────┘                               └───┬────┘
 *                            └──────── files, database ────────────────┘
 * ```
 *
 * A worker that dies is replaced. When the keeper dies all workers end at once, because nobody keeps their locks.
 */
import { composeKeeper, type Keeper } from '../compose.ts'
import type { Settings } from '../config/settings.ts'
import { endingAtOnce, fatalExit, stopOnSignals } from '../ending.ts'
import { createHealth, createProbeAnswers, type NodeHealth } from '../health.ts'
import { type Listener, listen } from '../listener.ts'
import type { Logger } from '../log.ts'
import { welcome } from '../welcome.ts'
import { createFleet, type Fleet } from './fleet.ts'

/** Serves with so many workers until a signal ends it. Fails where they cannot start. */
export async function keep(settings: Settings, workers: number, log: Logger): Promise<void> {
  const keeper = await composeKeeper(settings, { log, onFatal: endingAtOnce(log) })
  const fleet = openFleet(keeper, settings, workers, log)
  const health = createHealth([...keeper.probes, someoneServes(fleet)], settings.health.storageDriver)
  let probes: Listener | undefined
  const stop = async (): Promise<void> => {
    health.drain()
    await fleet.stop()
    await probes?.close(settings.http.drainTimeoutMs)
    await keeper.close()
    health.close()
  }
  try {
    probes = await listenForProbes(settings, health, log)
    const url = await fleet.start()
    stopOnSignals(stop, log)
    log.info({ workers }, welcome(url, settings))
  } catch (error) {
    await stop()
    throw error
  }
}

function openFleet(keeper: Keeper, settings: Settings, count: number, log: Logger): Fleet {
  return createFleet({
    count,
    settings,
    log,
    serve: keeper.serveWorker,
    onGone: () => void keeper.takeUp().catch((err) => log.error({ err }, 'what a worker left could not be settled')),
    onFatal() {
      log.fatal('a worker could not make commits durable: stopping at once, so that nothing is promised')
      process.exit(fatalExit)
    },
    onHopeless() {
      log.fatal('no worker can be kept alive: the lines before say why. Stopping')
      void keeper.close().finally(() => process.exit(1))
    },
  })
}

function someoneServes(fleet: Fleet): () => Promise<void> {
  return async () => {
    if (fleet.serving === 0) throw new Error('no worker serves')
  }
}

async function listenForProbes({ http }: Settings, health: NodeHealth, log: Logger): Promise<Listener | undefined> {
  const address = http.debug.listen
  return address && listen({ address, onRequest: createProbeAnswers(health), log })
}
