// Health in Conduit's shapes, the monitor behind it, and a server that is configured by an appsettings.json.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import WebSocket from "ws";
import { build, connect, WAYS, WEBSOCKETS_JSON } from "./support/client.mjs";
import { call, publish } from "./support/http.mjs";
import { Proxy } from "./support/proxy.mjs";
import { binary, gateway, Program, run } from "./support/server.mjs";
import { eventually, within } from "./support/wait.mjs";

const look = (server, path, key = null) => call(server, "GET", path, undefined, { key });

describe("health", { concurrency: 2 }, () => {
  test("an empty node is healthy", async (t) => {
    const server = await gateway(t);
    const word = await look(server, "/health");
    assert.deepEqual([word.status, word.text, word.type], [200, "Healthy", "text/plain"]);
    const { status, json } = await look(server, "/health/signalr");
    assert.equal(status, 200);
    assert.ok(Math.abs(Date.parse(json.timestamp) - Date.now()) < 60_000, json.timestamp);
    assert.deepEqual({ ...json, timestamp: undefined }, {
      status: "Healthy", timestamp: undefined,
      connections: { active: 0, stale: 0, acknowledgmentRate: "0.00%" },
      queue: {
        pending: 0, deadLetter: 0, circuitBreaker: "Closed", processed: 0, failed: 0,
        inFlight: 0, repeatsWaiting: 0, subscribersBehind: 0,
      },
      subscriberBreakers: { open: 0, halfOpen: 0, isolated: 0 },
      reasons: [],
    });
  });

  test("connections are seen on every transport, with their groups and messages, by those who may", async (t) => {
    const server = await gateway(t, { config: "[hubs.tasks]\nkeep_alive_ms = 1000\n" });
    for (const on of WAYS) await connect(t, `${server.url}/hubs/tasks`, on, { key: server.key });
    assert.equal((await call(server, "PUT", "/api/v1/tasks/7", { virtualKeyId: 1 })).status, 204);
    const a = await connect(t, `${server.url}/hubs/tasks`, WEBSOCKETS_JSON, { key: server.key });
    await a.invoke("SubscribeToTask", "7");
    const { json } = await eventually(async () => {
      const answer = await look(server, "/health/signalr/connections");
      return answer.json.totalActiveConnections === WAYS.length + 1 && answer;
    }, "all connections are counted");
    assert.deepEqual(json.connectionsByHub, { tasks: 6 });
    assert.deepEqual(json.connectionsByTransport, { LongPolling: 2, ServerSentEvents: 1, WebSockets: 3 });
    assert.ok(json.totalGroups >= 1 && json.totalMessagesSent >= 1, JSON.stringify(json));

    const details = "/health/signalr/connections/details";
    assert.equal((await look(server, details)).status, 401);
    const own = await eventually(async () => {
      const found = await look(server, details, server.key);
      assert.equal(found.status, 200);
      const one = found.json.activeConnections.find(({ connectionId }) => connectionId === a.connectionId);
      return one?.roundTripMs !== null && one;
    }, "the round trip is measured");
    assert.deepEqual([own.hubName, own.virtualKeyId, own.transportType], ["tasks", 1, "WebSockets"]);
    assert.ok(own.groups.includes("task-7"), JSON.stringify(own.groups));
    assert.ok(own.roundTripMs > 0 && own.roundTripMs < 5_000, String(own.roundTripMs));
    // The stock client says so by itself, on a WebSocket, too.
    assert.match(own.userAgent, /^Microsoft SignalR\//);
    assert.match(own.connectionDuration, /^00:0\d:\d\d/);
    const group = await look(server, "/health/signalr/connections/group/task-7", server.key);
    assert.deepEqual(group.json.connections.map(({ connectionId }) => connectionId), [a.connectionId]);
    assert.equal((await look(server, "/health/signalr/connections/hub/tasks", server.key)).json.count, 6);
    assert.equal((await look(server, "/health/signalr/connections/key/1", server.key)).json.count, 6);
  });

  test("a key sees its own connections and no others'", async (t) => {
    // The keys are "one" and "two".
    const key = (id, sha256) => `[[auth.virtual_keys]]\nid = ${id}\nname = "${id}"\nsha256 = "${sha256}"\n`;
    const server = await gateway(t, { config: [
      key(1, "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"),
      key(2, "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"),
    ].join("") });
    await connect(t, `${server.url}/hubs/tasks`, WEBSOCKETS_JSON, { key: "one" });
    const of = "/health/signalr/connections/key/1";
    assert.equal((await look(server, of, "one")).json.count, 1);
    assert.equal((await look(server, of, "two")).status, 403);
    assert.equal((await look(server, of)).status, 401);
    assert.equal((await look(server, "/health/signalr/connections/details", "one")).status, 403);
  });

  test("a stopping node is unhealthy", async (t) => {
    const server = await gateway(t, { config: "[server]\nstop_notice_ms = 5000\n" });
    server.program.signal("SIGTERM");
    const answer = await eventually(async () => {
      const word = await look(server, "/health");
      return word.status === 503 && word;
    }, "health is 503");
    assert.equal(answer.text, "Unhealthy");
  });

  test("a live silent listener stays, a half-open link beside it goes", async (t) => {
    // Only the sweep's probes are written, and no client timeout comes before it.
    const server = await gateway(t, { config: `
[connections]
stale_after_ms = 2000
stale_sweep_ms = 1000
round_trip_ms = 0
[hubs.bench]
keep_alive_ms = 3600000
client_timeout_ms = 7200000
` });
    // A host that vanishes is simulated by a proxy that swallows what either side writes.
    const gone = await Proxy.to(t, server.url);
    const rebooted = await Proxy.to(t, server.url);
    // Nobody says anything any more. The library of the first answers the probe's ping by itself.
    const alive = await silent(t, server, server.url, { autoPong: true, ping: true });
    const halfOpen = await silent(t, server, gone.url, { autoPong: true, ping: true });
    // These never ping: one answers nothing though its link is good, the other's link is half open, too.
    const mute = await silent(t, server, server.url, { autoPong: false, ping: false });
    const muteHalfOpen = await silent(t, server, rebooted.url, { autoPong: true, ping: false });
    gone.freeze();
    rebooted.freeze();
    const began = Date.now();
    const present = async () => {
      const { json } = await look(server, "/health/signalr/connections/details", server.key);
      return json.activeConnections.map(({ connectionId }) => connectionId);
    };
    await eventually(async () => !(await present()).includes(halfOpen.id), "the half-open link is closed", 15_000);
    assert.ok(Date.now() - began >= 2_000, "it was asked first");
    // Several sweeps later silence has closed nobody who never pinged.
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    assert.deepEqual((await present()).sort(), [alive.id, mute.id, muteHalfOpen.id].sort());
    assert.deepEqual([alive, mute].map(({ socket }) => socket.readyState), [WebSocket.OPEN, WebSocket.OPEN]);
    const { json } = await look(server, "/health/signalr");
    assert.deepEqual([json.status, json.connections.active, json.connections.stale], ["Degraded", 3, 2]);
    assert.deepEqual(json.reasons, ["67 % of the connections are stale"]);
    assert.equal((await look(server, "/health")).text, "Degraded");
    // The next probe is answered with a reset: a write that failed.
    rebooted.forget();
    await eventually(async () => !(await present()).includes(muteHalfOpen.id), "the failed probe closes it");
    assert.equal(rebooted.cuts, 1);
    // The listeners still hear.
    assert.equal((await call(server, "POST", "/api/broadcast", "x")).status, 202);
    for (const one of [alive, mute]) {
      await eventually(() => one.said.join("").includes("Broadcast"), "a listener hears");
    }
    assert.deepEqual((await present()).sort(), [alive.id, mute.id].sort());
  });
});

/** A client that shakes hands, pings once or not, and then says nothing of its own. */
async function silent(t, server, url, { autoPong, ping }) {
  const agreed = (await call(server, "POST", "/hubs/bench/negotiate?negotiateVersion=1", "")).json;
  const address = `${url.replace("http", "ws")}/hubs/bench?id=${agreed.connectionToken}`;
  const socket = new WebSocket(address, { autoPong });
  t.after(() => socket.terminate());
  const said = [];
  socket.on("message", (data) => said.push(String(data)));
  socket.on("error", () => {});
  await within(new Promise((resolve) => socket.on("open", resolve)), "open");
  socket.send('{"protocol":"json","version":1}\u001e');
  await eventually(() => said.length > 0, "the handshake is answered");
  if (ping) {
    socket.send('{"type":6}\u001e{"type":1,"invocationId":"1","target":"Echo","arguments":["x"]}\u001e');
    await eventually(() => said.join("").includes('"invocationId":"1"'), "the ping has arrived");
  }
  return { id: agreed.connectionId, socket, said };
}

describe("appsettings.json", { concurrency: 2 }, () => {
  const seed = {
    Acknowledgment: { MessageTimeoutSeconds: 30, MaxRetryAttempts: 3 },
    Batching: { WindowMs: 100, MaxBatchSize: 50, MaxBatchSizeBytes: 262144, GroupByMethod: true },
    Connection: { StaleConnectionTimeoutMinutes: 60 },
    MaximumReceiveMessageSize: 32768,
  };

  /** An appsettings.json that is gone after the test. */
  function settings(t, content) {
    const folder = mkdtempSync(join(tmpdir(), "stories-"));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, "appsettings.json");
    writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
    return file;
  }

  test("the seed's block is good, and what has no effect yet is said", async (t) => {
    const file = settings(t, { SignalR: seed });
    const idle = /without effect, because store.enabled is false: .*SignalR:Acknowledgment:MessageTimeoutSeconds/;
    for (const enabled of ["true", "false"]) {
      const env = { CONDUIT__STORE__ENABLED: enabled };
      const { code, stdout, stderr } = await run(["check-config", "--config", file], { env });
      assert.equal(code, 0, stderr);
      assert.equal(idle.test(stdout), enabled === "false", stdout);
      assert.match(stdout, /without effect, because batching is not part of this version: .*SignalR:Batching:WindowMs/);
      assert.doesNotMatch(stdout, /StaleConnectionTimeoutMinutes/);
      assert.match(stdout, /The configuration is good/);
    }
  });

  test("a server with one listens to it, ignores other sections with one line, and comments", async (t) => {
    const file = settings(t, `{ // as in ASP.NET
      "Logging": { "LogLevel": { "Default": "Warning" } }, "AllowedHosts": "*",
      "SignalR": { "MaximumReceiveMessageSize": 2048, "Connection": { "StaleConnectionTimeoutMinutes": 5 },
        "ConnectionMonitor": { "StaleThresholdMinutes": 6 }, },
    }`);
    const server = new Program(binary, ["serve", "--listen", "127.0.0.1:0", "--bench-hub"], { env: { CONDUIT_CONFIG: file } });
    t.after(() => server.kill());
    const [, url] = await server.line(/^listening on (http:\/\/\S+)$/m);
    await eventually(() => /sections are ignored[^]*\n[^]*StaleThresholdMinutes is ignored.*\n/.test(server.stderr), "it has said so");
    assert.equal(server.stderr.match(/sections are ignored/g)?.length, 1, server.stderr);
    assert.match(server.stderr, /ignored: AllowedHosts, Logging/);
    assert.match(server.stderr, /ConnectionMonitor:StaleThresholdMinutes is ignored: SignalR:Connection:StaleConnectionTimeoutMinutes/);
    const connection = build(t, `${url}/hubs/bench`, WEBSOCKETS_JSON);
    await within(connection.start(), "start");
    assert.equal(await connection.invoke("Echo", "x".repeat(1_000)), "x".repeat(1_000));
    await assert.rejects(connection.invoke("Echo", "x".repeat(4_000)), "over the configured size");
  });

  test("its times hold for acknowledged messages", async (t) => {
    const file = settings(t, { SignalR: {
      Acknowledgment: { MessageTimeoutSeconds: 1, TimeoutSeconds: 3000, MaxRetryAttempts: 1 },
      MessageQueue: { InitialRetryDelaySeconds: 1, MaxRetryDelaySeconds: 1, ProcessingIntervalMs: 10 },
    } });
    const server = await gateway(t, { env: { CONDUIT_CONFIG: file, CONDUIT__STORE__ENABLED: "true" } });
    const ignored = /TimeoutSeconds is ignored: SignalR:Acknowledgment:MessageTimeoutSeconds/;
    await eventually(() => ignored.test(server.program.stderr), "it says what it ignores");
    assert.doesNotMatch(server.program.stderr, /without effect/);
    const connection = await connect(t, `${server.url}/hubs/bench?acks=method`, WEBSOCKETS_JSON);
    const came = [];
    connection.on("News", (news) => { came.push(news.retryCount); });
    const message = { class: "acknowledged", messageId: "m", audience: { all: true }, target: "News", arguments: [{}] };
    assert.equal((await publish(server, "bench", message)).status, 202);
    // Nobody acks: one repeat after about a second, and a second after that it is dead.
    const { json } = await eventually(async () => {
      const answer = await look(server, "/health/signalr");
      return answer.json.queue.deadLetter === 1 && answer;
    }, "it is dead");
    assert.deepEqual(came, [0, 1]);
    assert.deepEqual([json.queue.pending, json.queue.failed, json.queue.processed], [0, 1, 0]);
    await within(connection.invoke("AcknowledgeMessage", "m"), "a late ack");
    const late = await eventually(async () => {
      const answer = await look(server, "/health/signalr");
      return answer.json.connections.acknowledgmentRate !== "0.00%" && answer;
    }, "the late ack is counted");
    assert.deepEqual([late.json.queue.deadLetter, late.json.queue.processed], [0, 1]);
  });

  for (const [what, section, pattern] of [
    ["an unknown key is refused with the nearest name", { Batching: { WindowMilis: 5 } }, /SignalR:Batching:WindowMilis .*SignalR:Batching:WindowMs/],
    ["a value out of range is refused by its own name", { Acknowledgment: { MessageTimeoutSeconds: 0 } }, /SignalR:Acknowledgment:MessageTimeoutSeconds must be 1 to 3600/],
  ]) {
    test(`${what}: exit code 2`, async (t) => {
      const file = settings(t, { SignalR: section });
      for (const command of ["check-config", "serve"]) {
        const { code, stderr } = await run([command, "--config", file]);
        assert.equal(code, 2, stderr);
        assert.match(stderr, pattern);
      }
    });
  }
});
