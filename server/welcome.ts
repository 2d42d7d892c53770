/** The first words of a server, or its last ones where it cannot start. */
import { StartRefused } from '../oci/failure.ts'
import type { Settings, StorageDriverSettings } from './config/settings.ts'

/** The one line that a new user reads: where it is, and what to try. */
export function welcome(url: string, { storage, http }: Settings): string {
  const where = placeOf(storage.driver)
  const host = url.replace(/^https?:\/\//, '')
  return `Berth serves ${url}${http.prefix} from ${where}; try: docker tag busybox ${host}/busybox && docker push ${host}/busybox`
}

function placeOf(driver: StorageDriverSettings): string {
  switch (driver.name) {
    case 'filesystem':
      return driver.root
    case 's3':
      return `the bucket ${driver.bucket}${driver.root === '' ? '' : `, folder ${driver.root}`}`
    case 'inmemory':
      return 'memory (nothing survives a restart)'
  }
}

/** Failures of the surroundings, which their operator can mend: their message is enough. */
export function isOperators(error: unknown): error is Error {
  if (error instanceof StartRefused) return true
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  return ['EADDRINUSE', 'EACCES', 'EADDRNOTAVAIL', 'EROFS', 'ENOENT', 'ENOSPC'].includes(code ?? '')
}
