/**
 * The room that is left, where several processes write. Each looks for itself, because each may refuse a push at any
 * time. Only the process that keeps the store has the file that is given up for deletions, and says when there is no room:
 *
 * ```
 * worker: finds too little, or gives the file up ──► notice ──► keeper: looks, says so, makes the file again later
 * ```
 */
import type { Notices } from '../../coordination/notices.ts'
import type { StorageDriver } from '../../storage/driver.ts'
import { type SpaceWatch, watchSpace } from '../../upkeep/space.ts'
import type { Settings } from '../config/settings.ts'
import type { Logger } from '../log.ts'

const topic = 'space'
const isFull = 'full'

export function watchSpaceAsWorker(
  { storage }: Settings,
  driver: StorageDriver,
  notices: Notices,
  log: Logger,
): Promise<SpaceWatch> {
  return watchSpace({
    driver: {
      space: () => driver.space(),
      // As if the file were there: the keeper makes it.
      stat: async (key) => ({ key, size: 0, modifiedAt: 0 }),
      write: async () => {},
      async delete(key, options) {
        await driver.delete(key, options)
        notices.tell(topic, isFull)
      },
    },
    reserve: storage.maintenance.reserve,
    onChange: () => notices.tell(topic, ''),
    onError: (error) => log.error({ err: error }, 'the room that is left could not be looked at'),
  })
}

/** Hears what workers find, until the function it returns is called. */
export function helpWithSpace(space: SpaceWatch, notices: Notices): () => void {
  return notices.listen(topic, (found) => {
    if (found === isFull) space.full()
    else void space.status()
  })
}
