// Messages that must not be lost, from the client's side: the stock client in each mode, what comes again and what does not.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { say, settled, shortTimes } from "./support/acks.mjs";
import { build, connect, hear, WAYS, WEBSOCKETS_JSON, WEBSOCKETS_MESSAGEPACK } from "./support/client.mjs";
import { call, publish } from "./support/http.mjs";
import { Proxy } from "./support/proxy.mjs";
import { gateway, together } from "./support/server.mjs";
import { eventually, within } from "./support/wait.mjs";

const ACK_MS = 600;
const SHORT = `${shortTimes(ACK_MS)}
[session]
ttl_seconds = 10
# All clients here come from one address.
per_caller_max = 1000
`;

const server = together((t) => gateway(t, { config: SHORT }));

let number = 0;
const fresh = (name) => `${name}-${++number}`;

/** The hub's address for a client: its mode, and a client id of its own unless it has none. */
const bench = (acks, clientId = randomUUID(), on = server) =>
  `${on.url}/hubs/bench?acks=${acks}${clientId ? `&clientId=${clientId}` : ""}`;

/** A client in a group of its own: `{ connection, group, clientId }`. */
async function member(t, acks, { way = WEBSOCKETS_JSON, group = fresh("group"), clientId = randomUUID(), on = server } = {}) {
  const connection = await connect(t, bench(acks, clientId, on), way);
  await within(connection.invoke("JoinGroup", group), "the answer");
  return { connection, group, clientId };
}

/** Long enough for every repeat that could come. */
const repeats = () => new Promise((resolve) => setTimeout(resolve, 2 * ACK_MS));

for (const way of WAYS) {
  describe(`mode result, ${way.name}`, { concurrency: 10 }, () => {
    const cases = [
      ["a handler that returns a value", [() => 5], "acknowledged", 1],
      ["a handler that returns null", [() => null], "acknowledged", 1],
      ["an async handler", [async () => "done"], "acknowledged", 1],
      ["a handler that returns nothing", [() => {}], "unconfirmed", 1],
      ["two handlers that return something", [() => 1, () => 2], "unconfirmed", 2],
      ["no handler at all", [], "unconfirmed", 0],
      ["a handler that throws every time", [() => { throw new Error("no"); }], "dead", 4],
      ["an async handler that rejects every time", [async () => { throw new Error("no"); }], "dead", 4],
    ];
    for (const [name, handlers, outcome, runs] of cases) {
      test(`${name}: ${outcome}, run ${runs} times`, { timeout: 30_000 }, async (t) => {
        const { connection, group } = await member(t, "result", { way });
        let ran = 0;
        for (const handler of handlers) connection.on("News", (...values) => { ran++; return handler(...values); });
        const { messageId, targeted } = await say(server, group);
        assert.equal(targeted, 1);
        assert.equal((await settled(server, messageId))[outcome], 1);
        await repeats();
        assert.equal(ran, runs);
      });
    }

    test("a handler that fails once is run again, and that is the end of it", { timeout: 30_000 }, async (t) => {
      const { connection, group } = await member(t, "result", { way });
      const seen = [];
      connection.on("News", (value) => {
        seen.push(value);
        if (seen.length === 1) throw new Error("not yet");
        return null;
      });
      const { messageId } = await say(server, group, [{ order: 66 }]);
      assert.equal((await settled(server, messageId)).acknowledged, 1);
      await repeats();
      assert.deepEqual(seen, [{ order: 66 }, { order: 66 }]);
    });
  });

  describe(`mode method, ${way.name}`, { concurrency: 10 }, () => {
    const late = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    // A handler is given the message and how to acknowledge it; what it returns says nothing in this mode.
    const cases = [
      ["a handler that acknowledges and returns nothing", [(id, ack) => { ack(id); }], "acknowledged", 1],
      ["an async handler that acknowledges at last", [async (id, ack) => { await late(ACK_MS / 2); await ack(id); }], "acknowledged", 1],
      ["two handlers that both acknowledge", [(id, ack) => ack(id), (id, ack) => ack(id)], "acknowledged", 2],
      ["two handlers of which one acknowledges", [() => {}, (id, ack) => ack(id)], "acknowledged", 2],
      ["a handler that returns a value and does not acknowledge", [() => 5], "dead", 4],
      ["a handler that returns null and does not acknowledge", [() => null], "dead", 4],
      ["a handler that returns nothing and does not acknowledge", [() => {}], "dead", 4],
      ["a handler that throws every time", [() => { throw new Error("no"); }], "dead", 4],
      ["no handler at all", [], "dead", 0],
    ];
    for (const [name, handlers, outcome, runs] of cases) {
      test(`${name}: ${outcome}, run ${runs} times`, { timeout: 30_000 }, async (t) => {
        const { connection, group } = await member(t, "method", { way });
        const acks = [];
        const ack = (id) => { acks.push(connection.invoke("AcknowledgeMessage", id)); return acks.at(-1); };
        let ran = 0;
        for (const handler of handlers) connection.on("News", ({ messageId }) => { ran++; return handler(messageId, ack); });
        const { messageId, targeted } = await say(server, group);
        assert.equal(targeted, 1);
        assert.equal((await settled(server, messageId))[outcome], 1);
        await repeats();
        await within(Promise.all(acks), "every ack is answered, a second one too");
        assert.equal(ran, runs);
      });
    }

    test("a message that is acknowledged is settled", { timeout: 30_000 }, async (t) => {
      const { connection, group } = await member(t, "method", { way });
      const news = hear(connection, "News");
      const { messageId } = await say(server, group, [{ order: 66 }]);
      const message = await news.next();
      assert.equal(message.order, 66);
      assert.equal(message.messageId, messageId);
      assert.equal(message.retryCount, 0);
      assert.equal(await within(connection.invoke("GetMessageStatus", messageId), "the status"), 0);
      await within(connection.invoke("AcknowledgeMessage", messageId), "the answer");
      assert.equal((await settled(server, messageId)).acknowledged, 1);
      assert.equal(await within(connection.invoke("GetMessageStatus", messageId), "the status"), 1);
      assert.equal(await within(connection.invoke("GetMessageStatus", "another"), "the status"), null);
      await repeats();
      assert.deepEqual(news.left, []);
    });

    test("a message that is refused, or not answered, comes again with its count", { timeout: 30_000 }, async (t) => {
      const { connection, group } = await member(t, "method", { way });
      const news = hear(connection, "News");
      const { messageId } = await say(server, group);
      assert.equal((await news.next()).retryCount, 0);
      await within(connection.invoke("NackMessage", messageId, "disk full"), "the answer");
      assert.equal((await news.next()).retryCount, 1);
      assert.equal((await news.next()).retryCount, 2, "after the timeout");
      await within(connection.invoke("AcknowledgeMessages", [messageId]), "the answer");
      assert.equal((await settled(server, messageId)).acknowledged, 1);
    });
  });
}

describe("acknowledgements", { concurrency: 4 }, () => {
  test("mode none is delivered unconfirmed, and sees the event as it was published", { timeout: 30_000 }, async (t) => {
    const { connection, group } = await member(t, "none");
    const news = hear(connection, "News");
    const { messageId } = await say(server, group, [{ order: 66 }]);
    assert.deepEqual(await news.next(), { order: 66 });
    assert.equal((await settled(server, messageId)).unconfirmed, 1);
  });

  test("a mode that the hub has not is refused with those it has", { timeout: 30_000 }, async (t) => {
    const strict = await gateway(t, { config: '[store]\nenabled = true\n[hubs.bench]\nacks = ["method"]\n' });
    const connection = build(t, bench("result", null, strict), WEBSOCKETS_JSON);
    await assert.rejects(within(connection.start(), "start"), /use one of: method\./);
    const other = await connect(t, `${strict.url}/hubs/bench`, WEBSOCKETS_JSON);
    assert.equal(await within(other.invoke("GetMessageStatus", "x"), "the status"), null);
  });

  for (const way of [WEBSOCKETS_JSON, WEBSOCKETS_MESSAGEPACK]) {
    test(`what is owed over a cut link comes when the client is back, in order, ${way.name}`, { timeout: 60_000 }, async (t) => {
      const proxy = await Proxy.to(t, server.url);
      const connection = build(t, bench("result", randomUUID(), proxy), way, { reconnect: [200, 200, 1000] });
      const group = fresh("group");
      const seen = [];
      connection.on("News", ({ number }) => { seen.push(number); return null; });
      await within(connection.start(), "start");
      await within(connection.invoke("JoinGroup", group), "the answer");
      const messages = [];
      for (let round = 0; round < 5; round++) {
        proxy.cut();
        for (let i = 0; i < 20; i++) messages.push(await say(server, group, [{ number: messages.length }]));
        await eventually(() => connection.state === "Connected", "it is back");
      }
      assert.ok(messages.every(({ targeted }) => targeted === 1), "it is counted while it is away");
      for (const { messageId } of messages) assert.equal((await settled(server, messageId)).acknowledged, 1);
      const firsts = seen.filter((number, place) => seen.indexOf(number) === place);
      assert.deepEqual(firsts, messages.map((_, number) => number), "first deliveries in order, none missing");
    });
  }

  test("a second connection of the same client replaces the first", { timeout: 30_000 }, async (t) => {
    const { connection, group, clientId } = await member(t, "method");
    const closed = new Promise((resolve) => connection.onclose(resolve));
    const second = await connect(t, bench("method", clientId), WEBSOCKETS_JSON);
    const news = hear(second, "News");
    assert.match(String(await within(closed, "the end of the first")), /the same client has connected again/);
    const { messageId, targeted } = await say(server, group);
    assert.equal(targeted, 1);
    assert.equal((await news.next()).messageId, messageId, "it has the groups of the first");
  });

  test("an unmodified client without a client id gets what its user is owed when it is back in the group", { timeout: 60_000 }, async (t) => {
    const tasks = `${server.url}/hubs/tasks?acks=result`;
    const id = fresh("task");
    await call(server, "PUT", `/api/v1/tasks/${id}`, { virtualKeyId: 1 });
    const first = await connect(t, tasks, WEBSOCKETS_JSON, { key: server.key });
    let dropped = 0;
    first.on("TaskCompleted", () => { dropped++; return new Promise(() => {}); });
    await within(first.invoke("SubscribeToTask", id), "the answer");
    const messageId = fresh("message");
    const message = { class: "acknowledged", messageId, audience: { group: `task-${id}` }, target: "TaskCompleted", arguments: [id, {}] };
    assert.equal((await publish(server, "tasks", message)).status, 202);
    await eventually(() => dropped === 1, "it has come");
    await first.stop();
    const second = await connect(t, tasks, WEBSOCKETS_JSON, { key: server.key });
    let ran = 0;
    second.on("TaskCompleted", () => { ran++; return null; });
    await within(second.invoke("SubscribeToTask", id), "the answer");
    assert.equal((await settled(server, messageId)).acknowledged, 1);
    assert.equal(ran, 1);
  });

  for (const [how, end] of [["SIGTERM", (program) => { program.signal("SIGTERM"); return program.ended(); }], ["kill -9", (program) => program.kill()]]) {
    test(`what is owed outlives ${how}: sessions count as gone from the moment the next process is ready`, { timeout: 60_000 }, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), "acks-"));
      t.after(() => rmSync(folder, { recursive: true, force: true }));
      const env = { CONDUIT__STORE__MODE: "embedded", CONDUIT__STORE__PATH: folder };
      const before = await gateway(t, { config: SHORT, env });
      const { connection, group, clientId } = await member(t, "method", { on: before });
      const news = hear(connection, "News");
      const sent = await say(before, group, [{ number: 0 }]);
      await news.next();
      await connection.stop();
      const away = await say(before, group, [{ number: 1 }]);
      assert.equal(away.targeted, 1);
      await end(before.program);
      const next = await gateway(t, { config: SHORT, env });
      const back = build(t, bench("method", clientId, next), WEBSOCKETS_JSON);
      const again = hear(back, "News");
      await within(back.start(), "start");
      const owed = await again.take(2);
      assert.deepEqual(owed.map((message) => message.number), [0, 1]);
      const later = await say(next, group, [{ number: 2 }]);
      assert.equal(later.targeted, 1, "it is in its group again");
      assert.equal((await again.next()).number, 2);
      const ids = [sent, away, later].map(({ messageId }) => messageId);
      await within(back.invoke("AcknowledgeMessages", ids), "the answer");
      for (const id of ids) assert.equal((await settled(next, id)).acknowledged, 1);
    });
  }

  test("a client id never shows in the log", { timeout: 30_000 }, async (t) => {
    const loud = await gateway(t, { config: SHORT, env: { RUST_LOG: "trace" } });
    const { connection, clientId, group } = await member(t, "method", { on: loud });
    await say(loud, group, [{}]);
    await connection.stop();
    const { program } = loud;
    program.signal("SIGTERM");
    await program.ended();
    assert.ok(program.stderr.length > 0);
    assert.ok(!program.stderr.includes(clientId), "its text");
  });
});
