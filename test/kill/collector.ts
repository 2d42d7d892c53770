/** A server that frees at once what nothing refers to, and the order to do so, as `berth gc` gives it. */
import { createControlClient } from '../../cli/control-client.ts'
import { socketPathIn } from '../../server/compose/control-socket.ts'
import type { BerthProcess } from '../support/berth-process.ts'

/** No grace and no trash; whoever pushes meanwhile is kept safe by nothing but the rules. */
export const withoutGrace = {
  REGISTRY_COLLECTOR_GRACE: '1ms',
  REGISTRY_COLLECTOR_TRASH: '0s',
  REGISTRY_COLLECTOR_INTERVAL: '0s',
}

/** Tells how much was freed: blobs and links. */
export async function collect({ root }: BerthProcess): Promise<number> {
  const socket = socketPathIn(root)
  try {
    const report = await createControlClient(socket.path).collect({ confirmed: true, purgeTrash: true }, () => {})
    if (report.failed > 0) throw new Error(`${report.failed} blobs could not be deleted`)
    return report.freedBlobs + report.unlinked
  } finally {
    socket.close()
  }
}
