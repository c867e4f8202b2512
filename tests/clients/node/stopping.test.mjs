// SIGTERM: a notice, a Close that allows to reconnect, time for what runs, and exit 0.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import WebSocket from "ws";
import { build, WAYS, WEBSOCKETS_JSON } from "./support/client.mjs";
import { call, publish, upgrade } from "./support/http.mjs";
import { gateway } from "./support/server.mjs";
import { eventually, Inbox, signal, within } from "./support/wait.mjs";

const ready = (server) => call(server, "GET", "/health/ready", undefined, { key: null }).then(({ status }) => status, () => 0);

describe("SIGTERM", { concurrency: 3 }, () => {
  for (const way of WAYS) {
    test(`a client that reconnects by itself begins to, ${way.name}`, async (t) => {
      const server = await gateway(t);
      const a = build(t, `${server.url}/hubs/bench`, way, { reconnect: [0, 100, 200] });
      const reconnecting = signal();
      a.onreconnecting((error) => reconnecting.ring(error));
      await within(a.start(), "start");
      server.program.signal("SIGTERM");
      await within(reconnecting.rung, "onreconnecting");
      assert.deepEqual(await server.program.ended(), { code: 0, signal: null }, server.program.said());
    });
  }

  test("the Close allows to reconnect, and the socket ends with 1000", async (t) => {
    const server = await gateway(t);
    const { socket, texts, closed } = await rawClient(t, server);
    server.program.signal("SIGTERM");
    assert.equal(await texts.next(), '{"type":7,"allowReconnect":true}\u001e');
    assert.equal(await within(closed.rung, "the end of the socket"), 1000);
    assert.deepEqual(await server.program.ended(), { code: 0, signal: null });
    assert.equal(socket.readyState, WebSocket.CLOSED);
  });

  test("during the notice only readiness changes; then what is new is refused with Retry-After", async (t) => {
    const server = await gateway(t, { config: "[server]\nstop_notice_ms = 1500\n" });
    const { socket, texts } = await rawClient(t, server);
    // A client that does not read keeps the server waiting for its outbox, some seconds after the notice.
    socket.send('{"type":4,"invocationId":"1","target":"Counter","arguments":[10000000,0]}\u001e');
    await texts.next();
    socket.pause();
    assert.equal(await ready(server), 200);
    server.program.signal("SIGTERM");
    await eventually(async () => (await ready(server)) === 503, "readiness is 503");
    const negotiate = () => call(server, "POST", "/hubs/bench/negotiate?negotiateVersion=1", undefined, { key: null });
    assert.equal((await negotiate()).status, 200);
    assert.equal((await call(server, "GET", "/health/live", undefined, { key: null })).status, 200);

    const refused = await eventually(async () => {
      const answer = await negotiate().catch(() => ({}));
      return answer.status === 503 && answer;
    }, "negotiate is refused");
    assert.match(refused.headers.get("retry-after") ?? "", /^\d+$/);
    const answer = await publish(server, "bench", { audience: { all: true }, target: "News", arguments: [] });
    assert.equal(answer.status, 503);
    assert.match(answer.headers.get("retry-after") ?? "", /^\d+$/);
    assert.equal((await upgrade(`${server.url}/hubs/bench`)).status, 503);
    assert.deepEqual(await server.program.ended(15_000), { code: 0, signal: null });
  });

  test("a call that never ends does not hold the server", async (t) => {
    const server = await gateway(t);
    const { socket, texts } = await rawClient(t, server);
    socket.send('{"type":4,"invocationId":"1","target":"Counter","arguments":[1000000,10]}\u001e');
    await texts.next();
    server.program.signal("SIGTERM");
    assert.deepEqual(await server.program.ended(15_000), { code: 0, signal: null });
  });

  test("a second signal ends it at once, with 1", async (t) => {
    const server = await gateway(t, { config: "[server]\nstop_notice_ms = 20000\n" });
    server.program.signal("SIGTERM");
    await eventually(async () => (await ready(server)) === 503, "readiness is 503");
    server.program.signal("SIGTERM");
    assert.deepEqual(await server.program.ended(3_000), { code: 1, signal: null });
  });

  test("a server without clients stops at once", async (t) => {
    const server = await gateway(t);
    server.program.signal("SIGTERM");
    assert.deepEqual(await server.program.ended(3_000), { code: 0, signal: null });
  });
});

test("health: alive and ready", async (t) => {
  const server = await gateway(t);
  assert.equal((await call(server, "GET", "/health/live", undefined, { key: null })).status, 200);
  assert.equal(await ready(server), 200);
});

/** A WebSocket of our own, past the handshake. */
async function rawClient(t, server) {
  const socket = new WebSocket(`${server.url.replace("http", "ws")}/hubs/bench`);
  t.after(() => socket.terminate());
  const texts = new Inbox();
  const closed = signal();
  socket.on("message", (data) => {
    for (const text of String(data).split("\u001e").slice(0, -1)) if (text !== '{"type":6}') texts.push(`${text}\u001e`);
  });
  socket.on("close", (code) => closed.ring(code));
  socket.on("error", () => {});
  await within(new Promise((resolve) => socket.on("open", resolve)), "open");
  socket.send('{"protocol":"json","version":1}\u001e');
  assert.equal(await texts.next(), "{}\u001e");
  return { socket, texts, closed };
}
