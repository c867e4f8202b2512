// The circuit breaker of a subscriber: its whole circle, what it costs others (nothing), and an operator's hand on it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { build, WEBSOCKETS_JSON } from "./support/client.mjs";
import { acknowledged, client, CLIENT, dead, join, office, operator, QUEUE, receipt } from "./support/office.mjs";
import { call } from "./support/http.mjs";
import { Proxy } from "./support/proxy.mjs";
import { eventually } from "./support/wait.mjs";

const BREAKERS = "/api/v1/admin/breakers";
const PATIENCE_MS = 300;
const OPEN_MS = 1_200;
const FAILURES = 3;
/** An attempt is never the last here, and a repeat comes at once. */
const DELIVERY = `
retry_attempts_max = 100
backoff_ms_min = 1
backoff_ms_max = 1
processing_interval_ms = 10
breaker_failures_max = ${FAILURES}
breaker_open_ms = ${OPEN_MS}
`;

const start = (t) => office(t, { patience: PATIENCE_MS, delivery: DELIVERY, ttl: 60 });
const breakers = async (server) => (await operator(server, "GET", BREAKERS)).json.subscribers;
const force = async (server, subscriber, word) => {
  const answer = await operator(server, "POST", `${BREAKERS}/subscribers/${subscriber}/${word}`);
  assert.equal(answer.status, 200, answer.text);
  return answer.json.subscribers;
};
/** The one subscriber that owed an answer to this message. */
const subscriberOf = async (server, id) => (await receipt(server, id)).subscribers[0].subscriber;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

describe("a subscriber's breaker", { concurrency: 4 }, () => {
  test("opens for who does not answer alone, lets one probe through, and closes when that is answered", { timeout: 60_000 }, async (t) => {
    const server = await start(t);
    const deaf = await client(t, server, { answers: false, group: "deaf" });
    await acknowledged(server, "which", { audience: { group: "deaf" } });
    const subscriber = await subscriberOf(server, "which");
    const well = await client(t, server);
    const state = async () => (await breakers(server)).listed.find((own) => own.subscriber === subscriber)?.state ?? "Closed";
    const both = { audience: { all: true } };
    const ids = Array.from({ length: 10 }, (_, n) => `before-${n}`);
    for (const id of ids) assert.equal((await acknowledged(server, id, both)).targeted, 2);

    // Closed, open: so many messages were not answered in time.
    await eventually(async () => (await state()) === "Open", "it opens", 5_000);
    assert.deepEqual(await breakers(server), { open: 1, halfOpen: 0, isolated: 0, listed: [{ subscriber, state: "Open" }] });
    const came = deaf.news.items.length;
    ids.push("while-open");
    assert.equal((await acknowledged(server, "while-open", both)).targeted, 2);
    for (const id of ids) await eventually(async () => (await receipt(server, id)).acknowledged === 1, `the other one has ${id}`);
    assert.deepEqual(well.news.items.map((own) => own.messageId), ids, "each once");
    assert.equal((await call(server, "GET", QUEUE)).json.circuitBreakerState, 0, "nobody else's problem");
    assert.equal((await call(server, "GET", QUEUE)).json.subscriberBreakers.open, 1);
    assert.equal(deaf.news.items.length, came, "while it is open nothing is sent");

    // Half-open: the oldest alone, again and again for as long as it is not answered.
    for (let round = 1; round <= 2; round++) {
      await eventually(() => deaf.news.items.length > came + round - 1, "a probe comes", 2 * OPEN_MS);
      assert.equal(await state(), "HalfOpen");
      assert.equal(deaf.news.items.at(-1).messageId, "which", "it is the oldest");
      await eventually(async () => (await state()) === "Open", "it is open again", 2 * PATIENCE_MS);
      assert.equal(deaf.news.items.length, came + round, "a single one");
    }

    // Closed: everything that is owed comes, in order, and nothing has died of the waiting.
    const probed = deaf.news.items.length;
    deaf.answers = true;
    for (const id of ids) await eventually(async () => (await receipt(server, id)).acknowledged === 2, `${id} is acknowledged by both`);
    assert.deepEqual(deaf.news.items.slice(probed).map((own) => own.messageId), ["which", ...ids]);
    assert.equal(await state(), "Closed");
    assert.equal((await dead(server)).count, 0);
    assert.deepEqual(well.news.items.map((own) => own.messageId), ids, "each once still");
  });

  test("opens for a client whose link breaks at each delivery, also while it is away", { timeout: 60_000 }, async (t) => {
    const server = await office(t, { patience: 60_000, delivery: DELIVERY, ttl: 60 });
    const proxy = await Proxy.to(t, server.url);
    const well = await client(t, server);
    let deadly = true;
    const id = "dies-of-it";
    const deliveries = [];
    const loop = async () => {
      const own = build(t, `${proxy.url}/hubs/tasks?acks=method&clientId=${id}`, WEBSOCKETS_JSON, { key: CLIENT });
      own.on("News", ({ messageId }) => {
        deliveries.push(messageId);
        if (deadly) proxy.cut();
        else own.invoke("AcknowledgeMessage", messageId).catch(() => {});
      });
      own.onclose(() => !server.program.end && setTimeout(() => loop().catch(() => {}), 20));
      await own.start();
      return own;
    };
    await join(server, "crash", await loop());
    await acknowledged(server, "deadly", { audience: { group: "crash" } });
    const subscriber = await subscriberOf(server, "deadly");
    await eventually(async () => (await breakers(server)).open === 1, "it opens", 10_000);
    assert.deepEqual((await breakers(server)).listed, [{ subscriber, state: "Open" }]);
    assert.equal(deliveries.length, FAILURES, "each was one failure");
    assert.equal((await acknowledged(server, "others", { audience: { all: true } })).targeted, 2);
    await eventually(async () => (await receipt(server, "others")).acknowledged === 1, "others go on");
    assert.deepEqual(well.news.items.map((own) => own.messageId), ["others"]);

    // The probe breaks the link again; then it is answered.
    await eventually(() => deliveries.length > FAILURES, "a probe comes", 3 * OPEN_MS);
    await eventually(async () => (await breakers(server)).open === 1, "it is open again", 2_000);
    assert.deepEqual(new Set(deliveries), new Set(["deadly"]), "the oldest alone");
    const before = deliveries.length;
    deadly = false;
    await eventually(async () => (await receipt(server, "others")).acknowledged === 2, "everything it owed", 3 * OPEN_MS);
    assert.deepEqual(deliveries.slice(before), ["deadly", "others"]);
    assert.deepEqual((await breakers(server)).listed, []);
  });

  test("stays closed for who refuses messages: an answer is an answer", { timeout: 30_000 }, async (t) => {
    const server = await start(t);
    const a = await client(t, server, { answers: false });
    let refused = 0;
    a.on("News", ({ messageId }) => {
      const done = ++refused > 3 * FAILURES;
      a.invoke(done ? "AcknowledgeMessage" : "NackMessage", messageId).catch(() => {});
    });
    await acknowledged(server, "unloved");
    await eventually(async () => {
      assert.deepEqual((await breakers(server)).listed, []);
      return (await receipt(server, "unloved")).acknowledged === 1;
    }, "it is acknowledged at last");
    assert.equal(refused, 3 * FAILURES + 1);
  });

  test("is held open by an operator, held closed, and let go", { timeout: 60_000 }, async (t) => {
    const server = await start(t);
    const a = await client(t, server);
    await acknowledged(server, "first");
    await a.news.next();
    const subscriber = await subscriberOf(server, "first");

    assert.deepEqual(await force(server, subscriber, "open"), { open: 0, halfOpen: 0, isolated: 1, listed: [{ subscriber, state: "Isolated" }] });
    assert.equal((await acknowledged(server, "isolated")).targeted, 1);
    await pause(OPEN_MS + 2 * PATIENCE_MS);
    assert.deepEqual(a.news.left, [], "not even a probe");
    assert.equal((await receipt(server, "isolated")).pending, 1);

    a.answers = false;
    assert.deepEqual((await force(server, subscriber, "close")).listed, []);
    const timedOut = await a.news.take(2 * FAILURES, 20_000);
    assert.deepEqual(new Set(timedOut.map((own) => own.messageId)), new Set(["isolated"]));
    assert.deepEqual((await breakers(server)).listed, [], "however often it is not answered");

    assert.deepEqual((await force(server, subscriber, "auto")).listed, []);
    await eventually(async () => (await breakers(server)).open === 1, "by itself it opens", 10_000);
    a.answers = true;
    await eventually(async () => (await receipt(server, "isolated")).acknowledged === 1, "the probe is answered");
    assert.deepEqual((await breakers(server)).listed, []);

    for (const [path, status] of [["subscribers/999999/open", 404], [`subscribers/${subscriber}/ajar`, 404], ["store/ajar", 404]]) {
      assert.equal((await operator(server, "POST", `${BREAKERS}/${path}`)).status, status, path);
    }
  });
});
