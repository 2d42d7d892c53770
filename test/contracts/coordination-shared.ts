import assert from 'node:assert/strict'
import { type CoordinationCase, forLong, sleep } from './coordination-tools.ts'

/** Whether `told` comes to be heard: a node that has just begun to listen may miss the first ones. */
async function heardIn(list: readonly string[], text: string, tell: () => void): Promise<boolean> {
  for (let n = 0; n < 500; n++) {
    if (list.includes(text)) return true
    tell()
    await sleep(10)
  }
  return false
}

export const noticeCases: Readonly<Record<string, CoordinationCase>> = {
  'a notice is heard by whoever listens to its topic, on every node': async (nodes) => {
    const heard = nodes.map(() => [] as string[])
    const stops = nodes.map(({ notices }, n) => notices.listen('a\n{topic}', (text) => heard[n]?.push(text)))
    for (const list of heard) {
      assert.ok(
        await heardIn(list, 'a text\nof two lines', () => nodes[0].notices.tell('a\n{topic}', 'a text\nof two lines')),
      )
    }
    for (const stop of stops) stop()
  },

  'a notice is heard once by each listener of the node that tells it, and not under another topic': async ([one]) => {
    const heard: string[] = []
    const stops = ['first', 'second'].map((who) => one.notices.listen('topic', (text) => heard.push(`${who} ${text}`)))
    stops.push(one.notices.listen('another', (text) => heard.push(`wrong ${text}`)))
    await sleep(100)
    one.notices.tell('topic', '1')
    one.notices.tell('topic', '2')
    await sleep(100)
    assert.deepEqual(heard.sort(), ['first 1', 'first 2', 'second 1', 'second 2'])
    for (const stop of stops) stop()
  },

  'nothing is heard after listening has ended, and others go on': async ([one, other]) => {
    const ended: string[] = []
    const going: string[] = []
    const stop = other.notices.listen('topic', (text) => ended.push(text))
    const stopGoing = other.notices.listen('topic', (text) => going.push(text))
    stop()
    stop()
    assert.ok(await heardIn(going, 'text', () => one.notices.tell('topic', 'text')))
    assert.deepEqual(ended, [])
    stopGoing()
  },

  'a listener that fails harms neither who tells nor who listens beside it': async ([one, other]) => {
    const heard: string[] = []
    const stops = [
      other.notices.listen('topic', () => {
        throw new Error('a listener that fails')
      }),
      other.notices.listen('topic', (text) => heard.push(text)),
    ]
    assert.ok(await heardIn(heard, 'text', () => one.notices.tell('topic', 'text')))
    for (const stop of stops) stop()
  },
}

export const counterCases: Readonly<Record<string, CoordinationCase>> = {
  'all nodes count together': async (nodes) => {
    const counts = await Promise.all(
      Array.from({ length: 30 }, (_, n) => (nodes[n % 3] as (typeof nodes)[0]).counters.add('a {name}', 2, forLong)),
    )
    assert.deepEqual(
      counts.sort((a, b) => a - b),
      Array.from({ length: 30 }, (_, n) => 2 * (n + 1)),
    )
    assert.equal(await nodes[1].counters.add('a {name}', 0, forLong), 60)
    assert.equal(await nodes[1].counters.add('another', 1, forLong), 1)
  },

  'a window ends where it began, however much is added meanwhile': async ([one, other]) => {
    const began = performance.now()
    assert.equal(await one.counters.add('name', 5, 300), 5)
    let last = 5
    while (performance.now() - began < 2_000) {
      const count = await other.counters.add('name', 1, 300)
      if (count < last) return
      last = count
      await sleep(10)
    }
    assert.fail('the window never ended')
  },
}

export const flightCases: Readonly<Record<string, CoordinationCase>> = {
  'one among all runs, and the others are told that it is done': async (nodes) => {
    let runs = 0
    const work = async () => {
      runs++
      await sleep(100)
      return 'value'
    }
    const flights = await Promise.all(
      nodes.flatMap(({ singleFlight }) =>
        Array.from({ length: 4 }, () => singleFlight.once('a {name}', work, forLong)),
      ),
    )
    assert.equal(runs, 1)
    assert.deepEqual(
      flights.filter(({ outcome }) => outcome === 'ran'),
      [{ outcome: 'ran', value: 'value' }],
    )
    assert.equal(flights.filter(({ outcome }) => outcome === 'done').length, 11)
  },

  'who comes after the end runs again': async ([one, other]) => {
    const flights = []
    for (const { singleFlight } of [one, other, one, one]) flights.push(await singleFlight.once('name', async () => 1))
    assert.deepEqual(flights, Array(4).fill({ outcome: 'ran', value: 1 }))
  },

  'work that failed fails for who ran it, and the others are told': async ([one, other]) => {
    const begun = Promise.withResolvers<void>()
    const fails = async () => {
      begun.resolve()
      await sleep(100)
      throw new Error('broken')
    }
    const first = one.singleFlight.once('name', fails)
    first.catch(() => {})
    await begun.promise
    const others = [one, other].map(({ singleFlight }) => singleFlight.once('name', async () => 'again', forLong))
    assert.deepEqual(await Promise.all(others), [{ outcome: 'failed' }, { outcome: 'failed' }])
    await assert.rejects(first, /broken/)
    assert.deepEqual(await other.singleFlight.once('name', async () => 'again'), { outcome: 'ran', value: 'again' })
  },

  'nobody waits for longer than their patience': async ([one, other]) => {
    const begun = Promise.withResolvers<void>()
    const ends = Promise.withResolvers<void>()
    const first = one.singleFlight.once('name', async () => {
      begun.resolve()
      await ends.promise
    })
    await begun.promise
    const others = [one, other].map(({ singleFlight }) => singleFlight.once('name', async () => {}, 50))
    assert.deepEqual(await Promise.all(others), [{ outcome: 'still running' }, { outcome: 'still running' }])
    ends.resolve()
    assert.equal((await first).outcome, 'ran')
  },

  'one who lost patience does not end the waiting of others on its node': async ([one, other]) => {
    const begun = Promise.withResolvers<void>()
    const ends = Promise.withResolvers<void>()
    const first = one.singleFlight.once('name', async () => {
      begun.resolve()
      await ends.promise
    })
    await begun.promise
    const hasty = other.singleFlight.once('name', async () => {}, 100)
    const patient = other.singleFlight.once('name', async () => {}, forLong)
    assert.equal((await hasty).outcome, 'still running')
    ends.resolve()
    // It may have come to look for itself just after the end.
    assert.match((await patient).outcome, /^(done|ran)$/)
    await first
  },
}
