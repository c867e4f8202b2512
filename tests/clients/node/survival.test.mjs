// What was promised outlives the process, the link and the client: SIGTERM and kill -9 under load, sessions that end, unmodified clients.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as path } from "node:path";
import { describe, test } from "node:test";
import { WAYS, WEBSOCKETS_JSON, WEBSOCKETS_MESSAGEPACK } from "./support/client.mjs";
import { call, publish } from "./support/http.mjs";
import { acknowledged, client, dead, dies, join, office, OTHER_CLIENT, operator, receipt } from "./support/office.mjs";
import { Proxy } from "./support/proxy.mjs";
import { eventually, within } from "./support/wait.mjs";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const statistics = async (server) => (await call(server, "GET", "/api/v1/delivery/stats")).json;

/** What the sums promise at every moment. */
function assertAddsUp({ pairs, messages }) {
  const { targeted, acknowledged, unconfirmed, expired, dead, purged, pending } = pairs;
  assert.equal(targeted, acknowledged + unconfirmed + expired + dead + purged + pending, JSON.stringify(pairs));
  assert.equal(messages.accepted, messages.settled + messages.open, JSON.stringify(messages));
}

function ownFolder(t) {
  const folder = mkdtempSync(path(tmpdir(), "survival-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const ENDS = [
  ["SIGTERM", async (program) => {
    program.signal("SIGTERM");
    assert.deepEqual(await program.ended(20_000), { code: 0, signal: null }, program.said());
  }],
  ["kill -9", (program) => program.kill()],
];

for (const [how, end] of ENDS) {
  describe(how, () => {
    test("under load: whatever got its 202 is handled by everybody it was for", { timeout: 120_000 }, async (t) => {
      const PUBLISHERS = 6;
      const folder = ownFolder(t);
      const settings = { folder, ttl: 60, patience: 5_000, delivery: "retry_attempts_max = 5" };
      const first = await office(t, settings);
      const proxy = await Proxy.to(t, first.url);
      const way = (n) => [WEBSOCKETS_JSON, WEBSOCKETS_MESSAGEPACK, WAYS.at(-1)][n % 3];
      const handled = await Promise.all(Array.from({ length: 9 }, async (_, n) => {
        const acks = n % 2 ? "result" : "method";
        const connection = await client(t, first, { id: `load-${n}`, via: proxy, acks, way: way(n), answers: false, reconnect: Array(200).fill(100) });
        connection.off("News");
        const ids = new Map();
        connection.on("News", ({ word, messageId }) => {
          ids.set(word, (ids.get(word) ?? 0) + 1);
          if (acks === "method") connection.invoke("AcknowledgeMessage", messageId).catch(() => {});
          return true;
        });
        await join(first, "load", connection);
        return ids;
      }));

      let running = true;
      let server = first;
      const accepted = new Map();
      let repeated = 0;
      const publisher = async (name) => {
        for (let n = 0; running; n++) {
          const messageId = `${name}-${n}`;
          const message = { class: "acknowledged", messageId, audience: { group: "load" }, target: "News", arguments: [{ word: messageId }] };
          // Without an answer, or with 503, the same again: that is what the docs tell a publisher.
          for (;;) {
            const answer = await publish(server, "tasks", message).catch(() => undefined);
            if (answer?.status === 202) {
              accepted.set(messageId, answer.json.targeted);
              break;
            }
            assert.ok(answer === undefined || answer.status === 503, answer?.text);
            repeated++;
            await pause(20);
          }
        }
      };
      const load = Promise.all(Array.from({ length: PUBLISHERS }, (_, n) => publisher(`p${n}`)));
      await eventually(() => accepted.size > 200, "there is load");
      const before = accepted.size;
      await end(first.program);
      server = await office(t, settings);
      proxy.target = server.url;
      await eventually(() => accepted.size > before + 200, "it goes on", 30_000);
      running = false;
      await within(load, "the publishers", 30_000);

      await eventually(async () => (await statistics(server)).pairs.pending === 0, "everything is settled", 60_000);
      const words = [...accepted.keys()];
      assert.ok(repeated > 0, "some were not answered");
      assert.deepEqual(words.filter((word) => accepted.get(word) !== handled.length), [], "all owe it, those who are away too");
      for (const ids of handled) assert.deepEqual(words.filter((word) => !ids.has(word)), [], "nothing that was accepted is missing");
      const { pairs, messages } = await statistics(server);
      assertAddsUp({ pairs, messages });
      assert.equal(messages.accepted, words.length, "each was accepted once, over the restart as well");
      assert.equal(pairs.acknowledged, words.length * handled.length);
    });

    test("keeps every count, and what stands behind it", { timeout: 60_000 }, async (t) => {
      const settings = { folder: ownFolder(t), ttl: 60, patience: 400 };
      const server = await office(t, settings);
      const good = await client(t, server, { group: "good" });
      await client(t, server, { group: "none", acks: "none" });
      await client(t, server, { group: "deaf", answers: false });
      const away = await client(t, server, { group: "away" });
      await away.stop();
      const to = (group, more) => ({ audience: { group }, ...more });
      await acknowledged(server, "acked", to("good"));
      await acknowledged(server, "unconfirmed", to("none"));
      await acknowledged(server, "dead", to("deaf"));
      await acknowledged(server, "purged", to("deaf"));
      await acknowledged(server, "expired", to("away", { expiresAt: new Date(Date.now() + 200).toISOString() }));
      await acknowledged(server, "pending", to("away"));
      await acknowledged(server, "nobody", to("empty"));
      await good.news.next();
      await dies(server, "dead");
      await dies(server, "purged");
      assert.equal((await operator(server, "DELETE", "/api/v1/admin/dead-letters/messages/purged")).json.purged, 1);
      const sums = ["acknowledged", "unconfirmed", "expired", "dead", "purged", "pending"];
      const before = await eventually(async () => {
        const now = await statistics(server);
        return sums.every((sum) => now.pairs[sum] === 1) && now;
      }, "one of each");
      assertAddsUp(before);
      assert.equal(before.pairs.targeted, 6);
      const receiptsBefore = await Promise.all(["acked", "expired", "dead", "pending"].map((id) => receipt(server, id)));

      await end(server.program);
      const next = await office(t, settings);
      const { pairs, messages } = await statistics(next);
      assert.deepEqual([pairs, messages], [before.pairs, before.messages]);
      assert.deepEqual(await Promise.all(["acked", "expired", "dead", "pending"].map((id) => receipt(next, id))), receiptsBefore);
      assert.deepEqual((await dead(next)).deadLetters.map(({ messageId, reason }) => [messageId, reason]), [["dead", "timed_out"]]);
      const repeated = await acknowledged(next, "acked", to("good"));
      assert.equal(repeated.targeted, 1, "the first answer, and nothing is published");
      assert.deepEqual((await statistics(next)).messages, before.messages);
    });
  });
}

describe("who does not come back", { concurrency: 4 }, () => {
  test("owes what comes within the session's life, and then it is a dead letter subscriber_gone", { timeout: 60_000 }, async (t) => {
    const server = await office(t, { ttl: 2, patience: 30_000 });
    const a = await client(t, server, { group: "gone" });
    await a.stop();
    assert.equal((await acknowledged(server, "in-time", { audience: { group: "gone" } })).targeted, 1);
    await dies(server, "in-time");
    const [letter] = (await dead(server, "?messageId=in-time")).deadLetters;
    assert.deepEqual([letter.reason, letter.attemptsMade], ["subscriber_gone", 0]);
    assert.equal((await acknowledged(server, "too-late", { audience: { group: "gone" } })).targeted, 0);
    const back = await client(t, server, { id: "of-another-life" });
    assert.deepEqual(back.news.left, []);
  });

  test("an unmodified client: what its lost connection owed goes to the next one of its user that joins, and to nobody else", { timeout: 60_000 }, async (t) => {
    const server = await office(t, { ttl: 20, patience: 30_000 });
    const proxy = await Proxy.to(t, server.url);
    const lost = await client(t, server, { id: null, via: proxy, acks: "result", group: "news" });
    lost.off("News");
    let silent = 0;
    lost.on("News", () => { silent++; return new Promise(() => {}); });
    assert.equal((await acknowledged(server, "owed", { audience: { group: "news" } })).targeted, 1);
    await eventually(() => silent === 1, "it has come");
    proxy.cut();
    await eventually(() => lost.state === "Disconnected", "the link is cut");

    const stranger = await client(t, server, { id: null, acks: "result", key: OTHER_CLIENT, group: "news" });
    const elsewhere = await client(t, server, { id: null, acks: "result", group: "other" });
    const heir = await client(t, server, { id: null, acks: "result" });
    heir.off("News");
    let ran = 0;
    heir.on("News", () => { ran++; return true; });
    await pause(300);
    assert.equal(ran, 0, "not before it joins");
    await join(server, "news", heir);
    await eventually(async () => (await receipt(server, "owed")).acknowledged === 1, "the next one has it");
    assert.equal(ran, 1);
    assert.deepEqual([stranger.news.items, elsewhere.news.items], [[], []]);
  });

  test("an unmodified client for which nobody comes: a dead letter subscriber_gone after the same time", { timeout: 60_000 }, async (t) => {
    const server = await office(t, { ttl: 2, patience: 30_000 });
    const lost = await client(t, server, { id: null, acks: "method", answers: false, group: "news" });
    await acknowledged(server, "orphan", { audience: { group: "news" } });
    await lost.news.next();
    await lost.stop();
    assert.equal((await receipt(server, "orphan")).pending, 1, "it is kept for a while");
    await dies(server, "orphan");
    assert.equal((await dead(server)).deadLetters[0].reason, "subscriber_gone");
    const late = await client(t, server, { id: null, group: "news" });
    await pause(300);
    assert.deepEqual(late.news.items, []);
  });

  test("who comes back and is not allowed in its group any more leaves it, and what it owed is a dead letter access_revoked", { timeout: 60_000 }, async (t) => {
    const server = await office(t, { ttl: 20, patience: 30_000 });
    const belongs = async (virtualKeyId) => {
      const answer = await call(server, "PUT", "/api/v1/tasks/moved", { virtualKeyId });
      assert.equal(answer.status, 204, answer.text);
    };
    const task = { audience: { group: "task-moved" } };
    await belongs(1);
    const a = await client(t, server, { id: "a", answers: false, group: "kept" });
    await within(a.invoke("SubscribeToTask", "moved"), "the answer");
    await a.stop();
    assert.equal((await acknowledged(server, "of-the-task", task)).targeted, 1);
    await acknowledged(server, "of-the-other-group", { audience: { group: "kept" } });
    await belongs(2);
    const back = await client(t, server, { id: "a" });
    assert.equal((await back.news.next()).messageId, "of-the-other-group");
    await dies(server, "of-the-task");
    assert.equal((await dead(server)).deadLetters[0].reason, "access_revoked");
    assert.equal((await acknowledged(server, "later", task)).targeted, 0);
    assert.deepEqual(back.news.left, []);
  });

  test("a client of mode method that dies without a word gets what it did not acknowledge again, over a cut", { timeout: 60_000 }, async (t) => {
    const server = await office(t, { ttl: 20, patience: 30_000 });
    const proxy = await Proxy.to(t, server.url);
    const first = await client(t, server, { id: "the-same", via: proxy, answers: false, group: "news" });
    for (const id of ["one", "two", "three"]) await acknowledged(server, id, { audience: { group: "news" } });
    await first.news.take(3);
    await within(first.invoke("AcknowledgeMessage", "two"), "the answer");
    proxy.cut();
    const second = await client(t, server, { id: "the-same" });
    for (const id of ["one", "three"]) await eventually(async () => (await receipt(server, id)).acknowledged === 1, `${id} is acknowledged`);
    assert.deepEqual(second.news.items.map((own) => own.messageId), ["one", "three"], "each once, in the order of acceptance");
  });
});
