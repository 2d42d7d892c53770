import { Connection } from './http-client.ts'
import { percentile } from './statistics.ts'

/** What one run of a scenario has done, as the load generator saw it. */
export type Sample = {
  readonly units: number
  readonly bytes: number
  readonly seconds: number
  /** Milliseconds from the beginning of a unit to its end. */
  readonly p50: number
  readonly p99: number
  /** The load sets the pace, so that there is no speed to speak of. */
  readonly paced?: true
}

export type Load = {
  readonly connections: number
  /** No unit begins after this time; each connection does one in any case. */
  readonly seconds: number
  readonly units?: number
  readonly bytesPerUnit: number
}

export type Operation = (connection: Connection, unit: number, lane: number) => Promise<void>

const MOST_UNITS = 2_000_000

/** Each connection does one unit after the other. The clock starts when all connections are open. */
export async function closedLoop(port: number, load: Load, operation: Operation): Promise<Sample> {
  const connections = Array.from({ length: load.connections }, () => new Connection(port))
  try {
    for (const connection of connections) await connection.open()
    return await runLanes(connections, load, operation)
  } finally {
    for (const connection of connections) connection.close()
  }
}

async function runLanes(connections: readonly Connection[], load: Load, operation: Operation): Promise<Sample> {
  const durations: number[] = []
  const most = load.units ?? MOST_UNITS
  const start = performance.now()
  const deadline = start + load.seconds * 1000
  let begun = 0
  let failed = false
  const lane = async (connection: Connection, index: number): Promise<void> => {
    let now = performance.now()
    do {
      const unit = begun++
      const from = now
      await operation(connection, unit, index)
      now = performance.now()
      durations.push(now - from)
    } while (!failed && now < deadline && begun < most)
  }
  const watched = (connection: Connection, index: number): Promise<void> =>
    lane(connection, index).catch((error: unknown) => {
      failed = true
      throw error
    })
  const ended = await Promise.allSettled(connections.map(watched))
  const failure = ended.find((outcome) => outcome.status === 'rejected')
  if (failure !== undefined) throw failure.reason
  const seconds = (performance.now() - start) / 1000
  const sorted = Float64Array.from(durations).sort()
  const units = durations.length
  const latencies = { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99) }
  return { units, bytes: units * load.bytesPerUnit, seconds, ...latencies }
}
