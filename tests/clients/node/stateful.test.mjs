// Stateful reconnect: links are reset in the middle of traffic, and nothing is lost, doubled or reordered.
import assert from "node:assert/strict";
import { Subject } from "@microsoft/signalr";
import { describe, test } from "node:test";
import { build, collect, connect, hear, WEBSOCKETS_JSON, WEBSOCKETS_MESSAGEPACK } from "./support/client.mjs";
import { Proxy } from "./support/proxy.mjs";
import { conformanceServer } from "./support/server.mjs";
import { eventually, within } from "./support/wait.mjs";

/** The server keeps 100 000 bytes for a client that has not acknowledged them; the stock client does so every second. */
const PACES = {
  // Some 50 KB a second: the server's buffer never fills. A link carries more than has to be sent again.
  // Messages are shorter in MessagePack, so it takes more of them.
  "in a steady flow": { count: { JSON: 2_000, MessagePack: 5_000 }, pauseMs: 4, padding: 0, bytesToCut: 60_000, cutsMin: 3 },
  // As fast as it goes: the buffer is full nearly all the time, and the flow is that of the acknowledgements.
  // All of it is less than an outbox holds (8 192 messages, 1 MiB), as a reader over that bound is ended.
  // (ASP.NET Core 10 stalls here: its read loop waits for a call whose answer waits for the ack behind it.)
  "beyond the buffer": { count: { JSON: 2_500, MessagePack: 2_500 }, pauseMs: 0, padding: 60, bytesToCut: 150_000, cutsMin: 2 },
};
const IN_FLIGHT = 20;

describe("stateful reconnect", { concurrency: 2 }, () => [WEBSOCKETS_JSON, WEBSOCKETS_MESSAGEPACK].forEach((way) => {
  describe(`stateful reconnect, ${way.name}`, () => {
    for (const [name, pace] of Object.entries(PACES)) {
      test(`calls, events, a stream and an upload survive links that are cut, ${name}`, { timeout: 120_000 },
        (t) => survives(t, way, pace));
    }

    test("what was sent while the link was down arrives once", { timeout: 60_000 }, async (t) => {
      const server = await conformanceServer(t);
      const proxy = await Proxy.to(t, server.url);
      const a = build(t, `${proxy.url}/hubs/conformance`, way, { stateful: {} });
      const messages = hear(a, "Message");
      await within(a.start(), "start");
      await a.invoke("JoinGroup", `down ${way.name}`);
      const other = await connect(t, `${server.url}/hubs/conformance`, way);
      for (let round = 0; round < 10; round++) {
        proxy.cut();
        const asked = a.invoke("Echo", round);
        await other.invoke("SendToGroup", `down ${way.name}`, round);
        assert.equal(await within(asked, "the answer"), round);
        assert.equal(await messages.next(), round);
      }
      assert.deepEqual(messages.left, []);
    });

    test("a stopped client is not kept", { timeout: 30_000 }, async (t) => {
      const server = await conformanceServer(t);
      const a = await connect(t, `${server.url}/hubs/conformance`, way, { stateful: {} });
      const other = await connect(t, `${server.url}/hubs/conformance`, way);
      const { connectionId } = a;
      await a.stop();
      await eventually(
        () => other.invoke("AskConnection", connectionId, "there?").then(() => false, () => true), "the connection is gone");
    });
  });
}));

async function survives(t, way, { count: counts, pauseMs, padding, bytesToCut, cutsMin }) {
  const count = counts[way.protocolName];
  const server = await conformanceServer(t);
  const proxy = await Proxy.to(t, server.url);
  const a = build(t, `${proxy.url}/hubs/conformance`, way, { stateful: {}, reconnect: [0] });
  const troubles = [];
  a.onreconnecting((error) => troubles.push(`reconnecting: ${error}`));
  a.onclose((error) => troubles.push(`closed: ${error}`));
  const messages = hear(a, "Message");
  await within(a.start(), "start");
  const { connectionId } = a;
  const other = await connect(t, `${server.url}/hubs/conformance`, way);
  const numbers = Array.from({ length: count }, (_, number) => number);
  const words = numbers.map((number) => `${number} ${"x".repeat(padding)}`);
  const paced = async (promise) => Promise.all([promise, pauseMs && new Promise((resolve) => setTimeout(resolve, pauseMs))]);

  proxy.cutEvery(bytesToCut);
  const upload = new Subject();
  const sum = a.invoke("Sum", upload);
  sum.catch(() => {});
  const stream = collect(a.stream("Counter", count, pauseMs), 90_000);
  const [answers] = await Promise.all([
    pipelined(words, async (word) => (await paced(a.invoke("Echo", word)))[0], pauseMs ? 1 : IN_FLIGHT),
    pipelined(words, (word) => paced(other.invoke("SendToConnection", connectionId, word)), 1),
    pipelined(numbers, (number) => paced(upload.next(number)), 1),
  ]);
  upload.complete();

  assert.deepEqual(answers, words);
  assert.deepEqual(await messages.take(count, 60_000), words);
  assert.deepEqual(await stream, { items: numbers });
  assert.equal(await within(sum, "the sum", 60_000), (count * (count - 1)) / 2);
  assert.deepEqual(troubles, []);
  assert.equal(a.connectionId, connectionId);
  assert.deepEqual(messages.left, []);
  assert.ok(proxy.cuts >= cutsMin, `${proxy.cuts} cuts`);
  t.diagnostic(`${proxy.cuts} cuts`);
  proxy.stopCutting();
  assert.equal(await within(a.invoke("Echo", "in the end"), "the answer"), "in the end");
}

/** Calls `act` for each value, so many at a time; the answers in the order of the values. */
async function pipelined(values, act, inFlight) {
  const answers = [];
  let next = 0;
  await within(Promise.all(Array.from({ length: inFlight }, async () => {
    while (next < values.length) {
      const index = next++;
      answers[index] = await act(values[index]);
    }
  })), "all of them", 90_000);
  return answers;
}
