// Every wait has an end, and says what it waited for.

/** The promise, or an error after `ms`. */
export function within(promise, what, ms = 10_000) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Asks again and again until the answer is truthy. */
export async function eventually(ask, what, ms = 10_000) {
  const last = Date.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > last) throw new Error(`${what}: not within ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A promise that something else keeps. */
export function signal() {
  let ring;
  const rung = new Promise((resolve) => { ring = resolve; });
  return { ring, rung };
}

/** What came, in order, to be waited for. */
export class Inbox {
  items = [];
  #taken = 0;
  #waiters = [];

  push(item) {
    this.items.push(item);
    this.#waiters = this.#waiters.filter((waiter) => !waiter());
  }

  /** The next `count` items. */
  take(count, ms = 10_000) {
    const from = this.#taken;
    this.#taken += count;
    const there = new Promise((resolve) => {
      const look = () => {
        if (this.items.length < from + count) return false;
        resolve(this.items.slice(from, from + count));
        return true;
      };
      if (!look()) this.#waiters.push(look);
    });
    return within(there, `${count} items`, ms).catch((error) => {
      throw new Error(`${error.message}; ${this.items.length - from} came: ${JSON.stringify(this.items.slice(from)).slice(0, 500)}`);
    });
  }

  async next(ms) {
    return (await this.take(1, ms))[0];
  }

  /** Items that came and nobody took. */
  get left() {
    return this.items.slice(this.#taken);
  }
}
