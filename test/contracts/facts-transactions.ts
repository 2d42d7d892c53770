import assert from 'node:assert/strict'
import { stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FactsCase } from './facts.ts'
import { digestFor, inRepository, manifestOf, nameOf, tagOf } from './facts-tools.ts'

const alpine = nameOf('library/alpine')
const [tag, one] = [tagOf('latest'), digestFor('one')]

/** A timer that has run out before the event loop turns. */
function timerThatIsDue(): Promise<void> {
  const timer = sleep(1)
  const due = performance.now() + 5
  while (performance.now() < due);
  return timer
}

export const transactionCases: Readonly<Record<string, FactsCase>> = {
  'a transaction that fails leaves nothing': async (facts) => {
    const failing = inRepository(facts, alpine, async (changed, id) => {
      await changed.blobs.add(one, 1, 1)
      await changed.blobs.link(id, one, 1)
      await changed.manifests.put(id, manifestOf('m', { references: [one] }), 1)
      await changed.tags.set(id, tag, digestFor('m'), 1)
      await changed.owed.add('key', 1, 1)
      await changed.store.set('key', 'value')
      throw new Error('changed my mind')
    })
    await assert.rejects(failing, /changed my mind/)
    assert.equal(await facts.read.repositories.find(alpine), undefined)
    assert.equal(await facts.read.blobs.isStored(one), false)
    assert.equal(await facts.read.owed.count(), 0)
    assert.equal(await facts.read.store.get('key'), undefined)
    await facts.write((changed) => changed.store.set('key', 'after'))
    assert.equal(await facts.read.store.get('key'), 'after')
  },

  'a transaction sees its own changes, and others see them once it is over': async (facts) => {
    let outside: string | undefined = 'not read'
    await facts.write(async (changed) => {
      await changed.store.set('key', 'value')
      assert.equal(await changed.store.get('key'), 'value')
      outside = await facts.read.store.get('key')
    })
    assert.equal(outside, undefined)
    assert.equal(await facts.read.store.get('key'), 'value')
  },

  'a transaction that waits for anything but a query is refused and leaves nothing': async (facts) => {
    const waits = [() => sleep(1), () => new Promise(setImmediate), () => stat('/'), timerThatIsDue]
    for (const wait of waits) {
      // From here a timer that is due comes before everything else.
      await new Promise(setImmediate)
      const slow = facts.write(async (changed) => {
        await changed.store.set('key', 'value')
        await wait()
      })
      await assert.rejects(slow, /waited for something other than a query/)
      assert.equal(await facts.read.store.get('key'), undefined)
    }
  },

  'a transaction may run many queries': async (facts) => {
    await facts.write(async (changed) => {
      for (let n = 0; n < 3000; n++) await changed.owed.add(`key ${n}`, n, 1)
    })
    assert.equal(await facts.read.owed.count(), 3000)
  },

  'transactions that run at once lose nothing': async (facts) => {
    await facts.write((changed) => changed.store.set('count', '0'))
    const increment = (n: number) =>
      facts.write(
        async (changed) => {
          await changed.store.set('count', String(Number(await changed.store.get('count')) + 1))
          if (n % 10 === 9) throw new Error('this one does not count')
        },
        { durable: n % 2 === 0 },
      )
    const outcomes = await Promise.allSettled(Array.from({ length: 100 }, (_, n) => increment(n)))
    assert.equal(outcomes.filter(({ status }) => status === 'rejected').length, 10)
    assert.equal(await facts.read.store.get('count'), '90')
  },

  'what was written is there after a restart': async (facts, opened) => {
    await inRepository(facts, alpine, async (changed, id) => {
      await changed.manifests.put(id, manifestOf('m'), 1)
      await changed.tags.set(id, tag, digestFor('m'), 1)
    })
    await facts.write((changed) => changed.store.set('key', 'not synced'), { durable: false })
    const again = await opened.reopen()
    assert.equal((await again.read.manifests.findTagged(alpine, tag))?.digest, digestFor('m'))
    assert.equal(await again.read.store.get('key'), 'not synced')
    await again.write((changed) => changed.store.set('key', 'again'))
    assert.equal(await again.read.store.get('key'), 'again')
  },

  'closing finishes what was begun': async (facts, opened) => {
    const writes = Array.from({ length: 20 }, (_, n) => facts.write((changed) => changed.owed.add(`key ${n}`, n, 1)))
    const again = await opened.reopen()
    await Promise.all(writes)
    assert.equal(await again.read.owed.count(), 20)
  },

  'a database that answers says so': (facts) => facts.probe(),
}
