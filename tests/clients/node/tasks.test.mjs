// The story of the README on every way, and who may hear what.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HubConnectionBuilder, HttpTransportType, LogLevel } from "@microsoft/signalr";
import { build, connect, hear, WAYS, WEBSOCKETS_JSON } from "./support/client.mjs";
import { call, publish, upgrade } from "./support/http.mjs";
import { gateway, run, together } from "./support/server.mjs";
import { signal, within } from "./support/wait.mjs";

const REFUSED = "An unexpected error occurred invoking 'SubscribeToTask' on the server. HubException: ";

const server = together((t) => gateway(t, { env: { RUST_LOG: "trace" } }));

const tasks = () => `${server.url}/hubs/tasks`;
const owned = (id, by = 1, on = server) => call(on, "PUT", `/api/v1/tasks/${id}`, { virtualKeyId: by });

for (const [index, way] of WAYS.entries()) {
  describe(way.name, { concurrency: 2 }, () => {
    test("a task's progress reaches who subscribed, and stops when they leave", async (t) => {
      const id = `7-${index}`;
      assert.equal((await owned(id)).status, 204);
      const a = await connect(t, tasks(), way, { key: server.key });
      const b = await connect(t, tasks(), way, { key: server.key });
      const events = ["TaskStarted", "TaskProgress", "TaskCompleted"].map((event) => [event, hear(a, event), hear(b, event)]);
      await within(a.invoke("SubscribeToTask", id), "the answer");

      const said = [["image", { virtualKeyId: 1 }], [40, "almost"], [{ url: "http://x.example/é.png", sizes: [1, 2.5] }]];
      for (const [place, [target]] of events.entries()) {
        const answer = await publish(server, "tasks", { audience: { group: `task-${id}` }, target, arguments: [id, ...said[place]] });
        assert.equal(answer.status, 202, answer.text);
      }
      for (const [place, [, heard]] of events.entries()) assert.deepEqual(await heard.next(), [id, ...said[place]]);

      await within(a.invoke("UnsubscribeFromTask", id), "the answer");
      await publish(server, "tasks", { audience: { group: `task-${id}` }, target: "TaskProgress", arguments: [id, 50] });
      await publish(server, "tasks", { audience: { connection: a.connectionId }, target: "TaskProgress", arguments: ["the", "end"] });
      assert.deepEqual(await events[1][1].next(), ["the", "end"]);
      assert.deepEqual(events.map(([, , heard]) => heard.left), [[], [], []]);
    });

    test("who asks for no task, an unknown one or another's is told so", async (t) => {
      assert.equal((await owned(`other-${index}`, 2)).status, 204);
      const a = await connect(t, tasks(), way, { key: server.key });
      for (const [id, why] of [["", "Invalid task ID"], ["  ", "Invalid task ID"], ["unheard-of", "Task not found"],
        [`other-${index}`, "Unauthorized access to task"]]) {
        await assert.rejects(within(a.invoke("SubscribeToTask", id), "the answer"), { message: REFUSED + why });
      }
    });

    test("a wrong key is 401, and so is none", async (t) => {
      for (const key of ["condt_wrong", undefined]) {
        const a = build(t, tasks(), way, { key });
        await assert.rejects(within(a.start(), "start"), /401|Unauthorized/);
      }
    });
  });
}

test("a published TaskStarted with its virtual key makes the task known", async (t) => {
  const a = await connect(t, tasks(), WEBSOCKETS_JSON, { key: server.key });
  await assert.rejects(a.invoke("SubscribeToTask", "made-known"), /Task not found/);
  const started = ["made-known", "image", { virtualKeyId: 1 }];
  const answer = await publish(server, "tasks", { audience: { group: "task-made-known" }, target: "TaskStarted", arguments: started });
  assert.equal(answer.status, 202, answer.text);
  await within(a.invoke("SubscribeToTask", "made-known"), "the answer");
});

test("every caller hears its own key's group, and a type of task when it asks", async (t) => {
  const a = await connect(t, tasks(), WEBSOCKETS_JSON, { key: server.key });
  const heard = hear(a, "TaskStarted");
  const toGroup = (group, word) => publish(server, "tasks", { audience: { group }, target: "TaskStarted", arguments: [word] });
  await toGroup("vkey-1", "on connect");
  await toGroup("vkey-1-image", "too early");
  await within(a.invoke("SubscribeToTaskType", "image"), "the answer");
  await toGroup("vkey-1-image", "asked for");
  await toGroup("vkey-2-image", "another key's");
  await within(a.invoke("UnsubscribeFromTaskType", "image"), "the answer");
  await toGroup("vkey-1-image", "too late");
  await toGroup("vkey-1", "the end");
  assert.deepEqual(await heard.take(3), ["on connect", "asked for", "the end"]);
});

test("the user is the number of the key", async (t) => {
  const a = await connect(t, tasks(), WEBSOCKETS_JSON, { key: server.key });
  const heard = hear(a, "TaskProgress");
  await publish(server, "tasks", { audience: { user: "2" }, target: "TaskProgress", arguments: ["not for a"] });
  await publish(server, "tasks", { audience: { user: "1" }, target: "TaskProgress", arguments: ["for a"] });
  assert.equal(await heard.next(), "for a");
});

describe("the key", () => {
  test("is taken from Bearer, X-API-Key, access_token, api_key", async () => {
    const negotiate = (query, headers) => call(server, "POST", `/hubs/tasks/negotiate?negotiateVersion=1${query}`, undefined, { key: null, headers });
    assert.equal((await negotiate("", { Authorization: `Bearer ${server.key}` })).status, 200);
    assert.equal((await negotiate("", { "X-API-Key": server.key })).status, 200);
    assert.equal((await negotiate(`&access_token=${server.key}`, {})).status, 200);
    assert.equal((await negotiate(`&api_key=${server.key}`, {})).status, 200);
    assert.equal((await negotiate("", { Authorization: "Bearer condt_wrong" })).status, 401);
    assert.equal((await negotiate("", {})).status, 401);
  });

  test("is asked for by every request of a transport", async () => {
    const { json } = await call(server, "POST", "/hubs/tasks/negotiate?negotiateVersion=1", undefined, { headers: { Authorization: `Bearer ${server.key}` } });
    const path = `/hubs/tasks?id=${json.connectionToken}`;
    for (const headers of [{}, { Authorization: "Bearer condt_wrong" }]) {
      for (const [method, more] of [["GET", {}], ["GET", { Accept: "text/event-stream" }], ["POST", {}], ["DELETE", {}]]) {
        const { status } = await call(server, method, path, method === "POST" ? "x" : undefined, { key: null, headers: { ...headers, ...more } });
        assert.equal(status, 401, `${method} ${JSON.stringify({ ...headers, ...more })}`);
      }
      assert.equal((await upgrade(`${server.url}${path}`, headers)).status, 401);
      assert.equal((await upgrade(`${server.url}/hubs/tasks`, headers)).status, 401);
    }
    assert.equal((await upgrade(`${server.url}/hubs/tasks`, { Authorization: `Bearer ${server.key}` })).status, 101);
    assert.equal((await upgrade(`${server.url}/hubs/tasks?access_token=${server.key}`)).status, 101);
  });

  test("is in no log line, whatever the level", async (t) => {
    const url = `${tasks()}?access_token=${server.key}`;
    const a = new HubConnectionBuilder().withUrl(url, { transport: HttpTransportType.WebSockets, skipNegotiation: true })
      .configureLogging(LogLevel.None).build();
    t.after(() => a.stop());
    await within(a.start(), "start");
    assert.ok(server.program.stderr.length > 0, "there are log lines at all");
    assert.ok(!server.program.stderr.includes(server.key));
    assert.equal(server.program.stdout.split(server.key).length, 2, "standard output names it once");
  });
});

test("configured keys: each sees its own, and the development key is gone", async (t) => {
  const sha = async (key) => (await run(["hash-key"], { input: key })).stdout.trim();
  const strict = await gateway(t, { config: `
[[auth.virtual_keys]]
id = 11
name = "one"
sha256 = "${await sha("key-one")}"

[[auth.virtual_keys]]
id = 12
name = "two"
sha256 = "${await sha("key-two")}"

[[auth.service_keys]]
name = "back end"
sha256 = "${await sha("key-service")}"
` });
  assert.ok(!strict.program.stdout.includes("development key"));
  strict.key = "key-service";
  assert.equal((await owned("t11", 11, strict)).status, 204);
  const url = `${strict.url}/hubs/tasks`;
  await assert.rejects(build(t, url, WEBSOCKETS_JSON, { key: server.key }).start(), /401|Unauthorized/);
  const one = await connect(t, url, WEBSOCKETS_JSON, { key: "key-one" });
  const two = await connect(t, url, WEBSOCKETS_JSON, { key: "key-two" });
  await within(one.invoke("SubscribeToTask", "t11"), "the answer");
  await assert.rejects(within(two.invoke("SubscribeToTask", "t11"), "the answer"), { message: `${REFUSED}Unauthorized access to task` });

  const message = { audience: { group: "task-t11" }, target: "TaskProgress", arguments: [1] };
  for (const key of [null, "key-one", server.key]) assert.equal((await publish(strict, "tasks", message, { key })).status, 401);
  const heard = hear(one, "TaskProgress");
  assert.equal((await publish(strict, "tasks", message)).status, 202);
  assert.equal(await heard.next(), 1);

  // A known id with another user's key: the connection is not theirs.
  const { json } = await call(strict, "POST", "/hubs/tasks/negotiate?negotiateVersion=1", undefined, { key: "key-one" });
  const path = `/hubs/tasks?id=${json.connectionToken}`;
  assert.equal((await call(strict, "GET", path, undefined, { key: "key-one" })).status, 200);
  for (const method of ["GET", "POST", "DELETE"]) {
    assert.equal((await call(strict, method, path, method === "POST" ? "x" : undefined, { key: "key-two" })).status, 403, method);
  }
  assert.equal((await upgrade(`${strict.url}${path}`, { "X-API-Key": "key-two" })).status, 403);
});

test("a page of a configured origin may connect, a foreign one may not", async (t) => {
  const open = await gateway(t, { config: "[cors]\norigins = [\"http://allowed.example\"]\n" });
  const preflight = (origin) => call(open, "OPTIONS", "/hubs/tasks/negotiate?negotiateVersion=1", undefined, {
    key: null,
    headers: { Origin: origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,x-requested-with" },
  });
  const good = await preflight("http://allowed.example");
  assert.equal(good.status, 204);
  assert.equal(good.headers.get("access-control-allow-origin"), "http://allowed.example");
  assert.equal(good.headers.get("access-control-allow-credentials"), "true");
  const bad = await preflight("http://foreign.example");
  assert.equal(bad.status, 204);
  assert.equal(bad.headers.get("access-control-allow-origin"), null);
  const socket = (origin) => upgrade(`${open.url}/hubs/bench`, { Origin: origin });
  assert.equal((await socket("http://allowed.example")).status, 101);
  assert.equal((await socket("http://foreign.example")).status, 403);
});

test("who leaves is told, and a refused call leaves the connection whole", async (t) => {
  const a = await connect(t, tasks(), WEBSOCKETS_JSON, { key: server.key });
  const closed = signal();
  a.onclose(() => closed.ring(true));
  await assert.rejects(a.invoke("NoSuchMethod"), /Method does not exist/);
  await within(a.stop(), "stop");
  assert.equal(await within(closed.rung, "onclose"), true);
});
