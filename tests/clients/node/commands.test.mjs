// The command line: configuration that is checked, keys that are hashed, a probe, a publisher, a listener.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { connect, hear, WEBSOCKETS_JSON } from "./support/client.mjs";
import { call } from "./support/http.mjs";
import { binary, configuration, DEVELOPMENT_KEY, gateway, Program, run } from "./support/server.mjs";

describe("configuration", { concurrency: 2 }, () => {
  const check = (t, text, env) => run(["check-config", "--config", configuration(t, text)], { env });

  test("a good file is good", async (t) => {
    for (const text of ["", "[server]\nlisten = \"127.0.0.1:9999\"\n", `
[cors]
origins = ["https://app.example"]
[hubs.tasks]
keep_alive_ms = 10000
client_timeout_ms = 40000
handshake_timeout_ms = 5000
message_bytes_max = 65536
parallel_invocations_max = 2
stateful_reconnect = false
stateful_buffer_bytes = 50000
detailed_errors = false
transports = ["WebSockets", "LongPolling"]
[hubs.bench]
enabled = true
[connections]
outbox_bytes_max = 1048576
outbox_messages_max = 8192
outbox_bytes_total_max = 268435456
parked_max = 10000
parked_per_caller_max = 16
[transport]
send_buffer_bytes = 262144
[publish]
body_bytes_max = 1048576
[server]
stop_notice_ms = 0
[[auth.virtual_keys]]
id = 1
name = "one"
sha256 = "${"a".repeat(64)}"
admin = true
[[auth.service_keys]]
name = "back end"
sha256 = "${"b".repeat(64)}"
`]) {
      const { code, stderr } = await check(t, text);
      assert.equal(code, 0, stderr);
    }
  });

  for (const [what, text, pattern] of [
    ["an unknown key is refused with the nearest known name", "[server]\nlisen = \"127.0.0.1:1\"\n", /lisen[\s\S]*listen/],
    ["in a hub, too", "[hubs.tasks]\nkeep_alive = 5\n", /keep_alive[\s\S]*keep_alive_ms/],
    ["and so is an unknown section", "[servre]\nlisten = \"127.0.0.1:1\"\n", /servre[\s\S]*server/],
    ["a wrong type", "[server]\nstop_notice_ms = \"soon\"\n", /stop_notice_ms/],
    ["an address that is none", "[server]\nlisten = \"nowhere\"\n", /listen|nowhere/],
    ["a hash that is none", "[[auth.virtual_keys]]\nid = 1\nname = \"one\"\nsha256 = \"abc\"\n", /sha256/],
    ["a file that is no TOML", "[server\n", /./],
  ]) {
    test(`${what}: exit code 2`, async (t) => {
      const { code, stderr } = await check(t, text);
      assert.equal(code, 2, stderr);
      assert.match(stderr, pattern);
      const served = await run(["serve", "--config", configuration(t, text)]);
      assert.equal(served.code, 2, served.stderr);
      assert.match(served.stderr, pattern);
    });
  }

  test("a file that is not there: exit code 2", async () => {
    const { code, stderr } = await run(["check-config", "--config", "/nonexistent/gateway.toml"]);
    assert.equal(code, 2);
    assert.match(stderr, /nonexistent/);
  });

  test("CONDUIT_CONFIG names the file, and variables override it", async (t) => {
    const file = configuration(t, "[hubs.bench]\nenabled = true\n");
    const on = new Program(binary, ["serve", "--listen", "127.0.0.1:0"], { env: { CONDUIT_CONFIG: file } });
    t.after(() => on.kill());
    const [, url] = await on.line(/^listening on (http:\/\/\S+)$/m);
    assert.equal((await call({ url }, "POST", "/api/broadcast", "x")).status, 202);
    const off = new Program(binary, ["serve", "--listen", "127.0.0.1:0"],
      { env: { CONDUIT_CONFIG: file, CONDUIT__HUBS__BENCH__ENABLED: "false" } });
    t.after(() => off.kill());
    const [, second] = await off.line(/^listening on (http:\/\/\S+)$/m);
    assert.equal((await call({ url: second }, "POST", "/api/broadcast", "x")).status, 404);
    const wrong = await check(t, "", { CONDUIT__SERVER__STOP_NOTICE_MS: "soon" });
    assert.equal(wrong.code, 2);
  });

  test("without a key a random one is printed, another each time", async (t) => {
    const keys = [];
    for (let round = 0; round < 2; round++) {
      const server = new Program(binary, ["serve", "--listen", "127.0.0.1:0"]);
      t.after(() => server.kill());
      keys.push((await server.line(/^development key: (condt_[0-9A-Za-z]{32})$/m))[1]);
    }
    assert.notEqual(keys[0], keys[1]);
    const given = await gateway(t);
    assert.match(given.program.stdout, new RegExp(`^development key: ${DEVELOPMENT_KEY}$`, "m"));
  });
});

describe("commands", { concurrency: 2 }, () => {
  test("hash-key prints the SHA-256 of standard input", async () => {
    const { code, stdout } = await run(["hash-key"], { input: "key-one" });
    assert.equal(code, 0);
    assert.equal(stdout, `${createHash("sha256").update("key-one").digest("hex")}\n`);
  });

  test("healthcheck is 0 for a ready server and 1 for none", async (t) => {
    const server = await gateway(t);
    assert.equal((await run(["healthcheck", "--url", server.url])).code, 0);
    await server.program.kill();
    assert.equal((await run(["healthcheck", "--url", server.url])).code, 1);
  });

  test("publish reaches the listener that listen is", async (t) => {
    const server = await gateway(t);
    assert.equal((await call(server, "PUT", "/api/v1/tasks/7", { virtualKeyId: 1 })).status, 204);
    const listening = new Program(binary, ["listen", `${server.url}/hubs/tasks`, "--token", server.key,
      "--on", "TaskStarted", "--on", "TaskProgress", "--invoke", "SubscribeToTask", '"7"']);
    t.after(() => listening.kill());
    // The line of the call's answer: from here on the listener is in the group.
    await listening.line(/SubscribeToTask/);
    const publishing = (...args) => run(["publish", "--url", server.url, "--key", server.key, "--hub", "tasks", ...args]);
    assert.equal((await publishing("--group", "task-7", "TaskStarted", '"7"', '"image"', '{"virtualKeyId":1}')).code, 0);
    assert.equal((await publishing("--all", "TaskProgress", '"7"', "40")).code, 0);
    await listening.line(/TaskProgress/);
    const lines = listening.stdout.trim().split("\n").map((line) => JSON.parse(line));
    assert.ok(lines.some((line) => line.event === "TaskStarted"
      && JSON.stringify(line.arguments) === '["7","image",{"virtualKeyId":1}]'), listening.stdout);
    listening.signal("SIGINT");
  });

  test("publish finds a user and a connection, and fails for a wrong key", async (t) => {
    const server = await gateway(t);
    const a = await connect(t, `${server.url}/hubs/tasks`, WEBSOCKETS_JSON, { key: server.key });
    const heard = hear(a, "News");
    const publishing = (key, ...args) => run(["publish", "--url", server.url, "--key", key, "--hub", "tasks", ...args]);
    assert.equal((await publishing(server.key, "--user", "1", "News", '"to the user"')).code, 0);
    assert.equal(await heard.next(), "to the user");
    assert.equal((await publishing(server.key, "--connection", a.connectionId, "News", "[1]")).code, 0);
    assert.deepEqual(await heard.next(), [1]);
    assert.notEqual((await publishing("condt_wrong", "--all", "News")).code, 0);
    assert.notEqual((await publishing(server.key, "--all", "News", "not JSON")).code, 0);
  });

  test("listen ends with an error where nobody listens", async () => {
    const { code } = await run(["listen", "http://127.0.0.1:1/hubs/tasks"]);
    assert.notEqual(code, 0);
  });

  test("a word that is no command is an error of use", async () => {
    assert.equal((await run(["sevre"])).code, 2);
  });
});
