// The back end's door: every audience, every error, and the management of groups and connections.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { build, connect, hear, WAYS, WEBSOCKETS_JSON, WEBSOCKETS_MESSAGEPACK } from "./support/client.mjs";
import { call, publish } from "./support/http.mjs";
import { gateway, together } from "./support/server.mjs";
import { eventually, signal, within } from "./support/wait.mjs";

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const BODY_BYTES_MAX = 1_048_576;
const good = { audience: { all: true }, target: "News", arguments: [1] };

const server = together(gateway);

const bench = () => `${server.url}/hubs/bench`;

async function listener(t, way = WEBSOCKETS_JSON, event = "News") {
  const connection = await connect(t, bench(), way);
  connection.news = hear(connection, event);
  return connection;
}

async function say(audience, word, more = {}) {
  const answer = await publish(server, "bench", { audience, target: "News", arguments: [word], ...more });
  assert.equal(answer.status, 202, answer.text);
  return answer.json;
}

describe("a published message", () => {
  test("reaches its audience and nobody else", async (t) => {
    const [a, b, c] = await Promise.all([listener(t), listener(t, WEBSOCKETS_MESSAGEPACK), listener(t)]);
    await a.invoke("JoinGroup", "g1");
    await b.invoke("JoinGroup", "g1");
    await c.invoke("JoinGroup", "g2");
    const [idA, idB, idC] = [a, b, c].map((each) => each.connectionId);
    const rounds = [
      [{ group: "g1" }, "ab"],
      [{ groups: ["g1", "g2"] }, "abc"],
      [{ groups: ["g2", "nobody-here"] }, "c"],
      [{ group: "g1", except: [idA] }, "b"],
      [{ connection: idC }, "c"],
      [{ connections: [idA, idC] }, "ac"],
      [{ all: true, except: [idB] }, "ac"],
      [{ user: "nobody" }, ""],
      [{ users: ["nobody", "no one"] }, ""],
      [{ all: true }, "abc"],
    ];
    for (const [audience] of rounds) await say(audience, JSON.stringify(audience));
    for (const [name, each] of [["a", a], ["b", b], ["c", c]]) {
      const expected = rounds.filter(([, who]) => who.includes(name)).map(([audience]) => JSON.stringify(audience));
      assert.deepEqual(await each.news.take(expected.length), expected);
      assert.deepEqual(each.news.left, []);
    }
  });

  test("has all of its arguments, on every way", async (t) => {
    const values = [null, true, -7, 3.25, "é☃😀", [1, [2]], { a: { b: [] } }, 9007199254740991];
    for (const way of WAYS) {
      const a = await listener(t, way);
      const answer = await publish(server, "bench", { audience: { connection: a.connectionId }, target: "news", arguments: values });
      assert.equal(answer.status, 202, answer.text);
      assert.deepEqual(await a.news.next(), values);
    }
  });

  test("takes every option and answers with its id", async (t) => {
    const a = await listener(t);
    const audience = { connection: a.connectionId };
    assert.match((await say(audience, "plain")).messageId, UUID_V7);
    const answer = await say(audience, "with all", {
      class: "ordinary", conflationKey: "k", priority: 10, expiresAt: new Date(Date.now() + 60_000).toISOString(),
      correlationId: "c-1", messageId: "order:66.a_b-C",
    });
    assert.deepEqual(answer, { messageId: "order:66.a_b-C" });
    await say(audience, "volatile", { class: "volatile", priority: 0 });
    assert.deepEqual(await a.news.take(3), ["plain", "with all", "volatile"]);
  });

  test("five hundred of one back end come in order, on every way", async (t) => {
    const listeners = await Promise.all(WAYS.map((way) => listener(t, way)));
    for (const each of listeners) await each.invoke("JoinGroup", "ordered");
    const words = Array.from({ length: 500 }, (_, number) => number);
    for (const word of words) await say({ group: "ordered" }, word);
    for (const each of listeners) assert.deepEqual(await each.news.take(words.length, 20_000), words);
  });

  test("is accepted with the key as Bearer or X-API-Key", async () => {
    assert.equal((await publish(server, "bench", good, { key: null, headers: { Authorization: `Bearer ${server.key}` } })).status, 202);
    assert.equal((await publish(server, "bench", good, { key: null, headers: { "X-API-Key": server.key } })).status, 202);
  });
});

const without = (name) => Object.fromEntries(Object.entries(good).filter(([key]) => key !== name));
const REFUSALS = [
  // [what, body, status, field, limit]
  ["not JSON", "{\"audience\":", 400],
  ["an empty body", "", 400],
  ["not an object", "[1]", 422],
  ["too large", JSON.stringify({ ...good, arguments: ["x".repeat(BODY_BYTES_MAX)] }), 413, undefined, BODY_BYTES_MAX],
  ["no audience", without("audience"), 422, "audience"],
  ["an audience of nothing", { ...good, audience: {} }, 422, "audience"],
  ["an audience of two kinds", { ...good, audience: { all: true, group: "g" } }, 422, "audience"],
  ["an audience of an unknown kind", { ...good, audience: { everyone: true } }, 422, "audience.everyone"],
  ["an audience that is no object", { ...good, audience: "all" }, 422, "audience"],
  ["all that is not true", { ...good, audience: { all: false } }, 422, "audience.all"],
  ["a group that is no text", { ...good, audience: { group: 5 } }, 422, "audience.group"],
  ["groups that are no list", { ...good, audience: { groups: "g" } }, 422, "audience.groups"],
  ["a user that is no text", { ...good, audience: { user: 1 } }, 422, "audience.user"],
  ["except with a user", { ...good, audience: { user: "u", except: ["x"] } }, 422, "audience.except"],
  ["except that is no list", { ...good, audience: { all: true, except: "x" } }, 422, "audience.except"],
  ["no target", without("target"), 422, "target"],
  ["a target that is no text", { ...good, target: 7 }, 422, "target"],
  ["an empty target", { ...good, target: "" }, 422, "target"],
  ["no arguments", without("arguments"), 422, "arguments"],
  ["arguments that are no list", { ...good, arguments: { a: 1 } }, 422, "arguments"],
  ["an unknown class", { ...good, class: "gold" }, 422, "class"],
  ["what goes with acknowledged only", { ...good, critical: true }, 422, "critical"],
  ["an ordering key that is no text", { ...good, orderingKey: 1 }, 422, "orderingKey"],
  ["a conflation key that is no text", { ...good, class: "volatile", conflationKey: 1 }, 422, "conflationKey"],
  ["a priority over ten", { ...good, priority: 11 }, 422, "priority", 10],
  ["a priority below nought", { ...good, priority: -1 }, 422, "priority"],
  ["a priority that is no number", { ...good, priority: "high" }, 422, "priority"],
  ["an expiry that is over", { ...good, expiresAt: "2020-01-01T00:00:00Z" }, 422, "expiresAt"],
  ["an expiry that is no time", { ...good, expiresAt: "soon" }, 422, "expiresAt"],
  ["a correlation id that is no text", { ...good, correlationId: 1 }, 422, "correlationId"],
  ["an empty message id", { ...good, messageId: "" }, 422, "messageId"],
  ["a message id with a blank", { ...good, messageId: "a b" }, 422, "messageId"],
  ["a message id that is too long", { ...good, messageId: "x".repeat(129) }, 422, "messageId", 128],
  ["a field that nobody knows", { ...good, colour: "red" }, 422, "colour"],
];

describe("a message is refused with a problem that names the field", () => {
  for (const [what, body, status, field, limit] of REFUSALS) {
    test(what, async () => problem(await publish(server, "bench", body), status, field, limit));
  }

  test("no key or a wrong one", async () => {
    for (const key of [null, "condt_wrong", ""]) problem(await publish(server, "bench", good, { key }), 401);
  });

  test("an unknown hub", async () => {
    problem(await publish(server, "nosuch", good), 404);
    problem(await publish(server, "hubs/bench", good), 404);
  });

  test("and a message of exactly the limit passes", async () => {
    const frame = JSON.stringify({ ...good, audience: { connection: "nobody" }, arguments: [""] });
    const body = frame.replace("[\"\"]", `["${"x".repeat(BODY_BYTES_MAX - Buffer.byteLength(frame))}"]`);
    assert.equal(Buffer.byteLength(body), BODY_BYTES_MAX);
    assert.equal((await publish(server, "bench", body)).status, 202);
  });
});

function problem(answer, status, field, limit) {
  assert.equal(answer.status, status, answer.text);
  assert.match(answer.headers.get("content-type") ?? "", /^application\/problem\+json/);
  assert.equal(answer.json.status, status);
  assert.equal(typeof answer.json.title, "string");
  assert.equal(answer.json.field, field, answer.text);
  if (limit !== undefined) assert.equal(answer.json.limit, limit, answer.text);
}

describe("management", () => {
  const hub = "/api/v1/hubs/bench";
  const ask = (method, path, options) => call(server, method, `${hub}${path}`, undefined, options);

  test("puts a connection into a group and takes it out", async (t) => {
    const a = await listener(t);
    const place = `/groups/managed/connections/${a.connectionId}`;
    assert.equal((await ask("HEAD", "/groups/managed")).status, 404);
    assert.equal((await ask("PUT", place)).status, 204);
    assert.equal((await ask("HEAD", "/groups/managed")).status, 200);
    await say({ group: "managed" }, "in");
    assert.equal((await ask("DELETE", place)).status, 204);
    await say({ group: "managed" }, "out");
    await say({ connection: a.connectionId }, "end");
    assert.deepEqual(await a.news.take(2), ["in", "end"]);
    assert.equal((await ask("HEAD", "/groups/managed")).status, 404);
  });

  test("puts a user's present connections into a group and takes them out", async (t) => {
    const a = await connect(t, `${server.url}/hubs/tasks`, WEBSOCKETS_JSON, { key: server.key });
    const news = hear(a, "News");
    const tasks = (method, path) => call(server, method, `/api/v1/hubs/tasks${path}`);
    const speak = (audience, word) => publish(server, "tasks", { audience, target: "News", arguments: [word] });
    assert.equal((await tasks("HEAD", "/users/1")).status, 200);
    assert.equal((await tasks("HEAD", "/users/2")).status, 404);
    assert.equal((await tasks("PUT", "/groups/of-user/users/1")).status, 204);
    await speak({ group: "of-user" }, "in");
    assert.equal((await tasks("DELETE", "/groups/of-user/users/1")).status, 204);
    await speak({ group: "of-user" }, "out");
    await speak({ user: "1" }, "end");
    assert.deepEqual(await news.take(2), ["in", "end"]);
  });

  test("knows who is there, and ends a connection", async (t) => {
    const a = build(t, bench(), WEBSOCKETS_JSON);
    const closed = signal();
    a.onclose(() => closed.ring(true));
    await within(a.start(), "start");
    const place = `/connections/${a.connectionId}`;
    assert.equal((await ask("HEAD", place)).status, 200);
    assert.equal((await ask("DELETE", `${place}?reason=enough`)).status, 204);
    assert.equal(await within(closed.rung, "onclose"), true);
    await eventually(async () => (await ask("HEAD", place)).status === 404, "the connection is gone");
    assert.equal((await ask("DELETE", place)).status, 404);
    assert.equal((await ask("HEAD", "/connections/nobody")).status, 404);
  });

  test("asks for the key and for a known hub", async () => {
    for (const [method, path] of [["PUT", "/groups/g/connections/c"], ["DELETE", "/groups/g/users/u"], ["DELETE", "/connections/c"],
      ["HEAD", "/connections/c"], ["HEAD", "/groups/g"], ["HEAD", "/users/u"]]) {
      assert.equal((await ask(method, path, { key: null })).status, 401, `${method} ${path}`);
      assert.equal((await ask(method, path, { key: "condt_wrong" })).status, 401, `${method} ${path}`);
    }
    assert.equal((await call(server, "HEAD", "/api/v1/hubs/nosuch/groups/g")).status, 404);
    assert.equal((await call(server, "PUT", "/api/v1/tasks/7", { virtualKeyId: 1 }, { key: null })).status, 401);
  });
});

describe("POST /api/broadcast", () => {
  test("sends the body as one text to all, without a key", async (t) => {
    const a = await listener(t, WEBSOCKETS_JSON, "Broadcast");
    const b = await listener(t, WEBSOCKETS_MESSAGEPACK, "Broadcast");
    for (const [body, type] of [["plain ☃", "text/plain"], ["{\"a\":1}", "application/json"], ["", "application/octet-stream"]]) {
      const answer = await call(server, "POST", "/api/broadcast", body, { key: null, headers: { "Content-Type": type } });
      assert.equal(answer.status, 202);
      assert.equal(await a.news.next(), body);
      assert.equal(await b.news.next(), body);
    }
  });

  test("refuses what is not UTF-8", async () => {
    assert.equal((await call(server, "POST", "/api/broadcast", Uint8Array.of(0xff, 0xfe), { key: null })).status, 400);
  });

  test("is not there when the hub is off", async (t) => {
    const plain = await gateway(t, { bench: false });
    assert.equal((await call(plain, "POST", "/api/broadcast", "x", { key: null })).status, 404);
    assert.equal((await call(plain, "POST", "/hubs/bench/negotiate?negotiateVersion=1", undefined, { key: null })).status, 404);
    const switched = await gateway(t, { bench: false, config: "[hubs.bench]\nenabled = true\n" });
    assert.equal((await call(switched, "POST", "/api/broadcast", "x", { key: null })).status, 202);
  });
});
