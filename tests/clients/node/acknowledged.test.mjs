// Messages that must not be lost, from the back end's and the operator's side: what a publisher is answered, receipts,
// dead letters by the API, the command line and Conduit's routes, the store's breaker, webhooks.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { describe, test } from "node:test";
import { WEBSOCKETS_MESSAGEPACK } from "./support/client.mjs";
import { call, publish } from "./support/http.mjs";
import { acknowledged, ADMIN, BACK_END, CLIENT, client, dead, dies, office, OPERATOR, operator, QUEUE, receipt } from "./support/office.mjs";
import { configuration, run, together } from "./support/server.mjs";
import { eventually, Inbox } from "./support/wait.mjs";

const SECRET = "0123456789abcdef0123456789abcdef";

describe("a publisher", () => {
  const server = together(office);

  test("is told how many owe an answer and what the message survives, and can forget it", async (t) => {
    const group = "two";
    const [a, b] = [await client(t, server, { group }), await client(t, server, { group, way: WEBSOCKETS_MESSAGEPACK })];
    assert.deepEqual(await acknowledged(server, "m1", { audience: { group } }), { messageId: "m1", targeted: 2, mode: "embedded" });
    for (const each of [a, b]) {
      const message = await each.news.next();
      assert.deepEqual([message.word, message.messageId, message.retryCount], ["m1", "m1", 0]);
    }
    const settled = await eventually(async () => {
      const own = await receipt(server, "m1");
      return own.acknowledged === 2 && own;
    }, "both have acknowledged");
    assert.equal(typeof settled.settledAt, "string");
    assert.deepEqual(settled.subscribers.map((own) => own.status), ["acknowledged", "acknowledged"]);
    assert.equal(await a.invoke("GetMessageStatus", "m1"), 1);
  });

  test("may repeat itself: the first answer stands, and nothing comes twice", async (t) => {
    const a = await client(t, server);
    const first = await acknowledged(server, "twice");
    assert.equal((await a.news.next()).word, "twice");
    assert.deepEqual(await acknowledged(server, "twice"), first);
    await acknowledged(server, "after-twice");
    assert.equal((await a.news.next()).word, "after-twice");
    const other = await publish(server, "tasks",
      { class: "acknowledged", audience: { all: true }, target: "News", arguments: [{ word: "else" }], messageId: "twice" });
    assert.equal(other.status, 409);
    assert.equal(other.json.code, "message_id_reused");
  });

  test("may require somebody, and publish many at once", async (t) => {
    const nobody = await publish(server, "tasks",
      { class: "acknowledged", audience: { group: "nobody" }, target: "News", arguments: [], requireAudience: true });
    assert.deepEqual([nobody.status, nobody.json.code], [409, "nobody"]);
    assert.equal((await acknowledged(server, "to-nobody", { audience: { group: "nobody" } })).targeted, 0);
    const a = await client(t, server);
    const messages = [1, 2, 3].map((word) => ({ class: "acknowledged", audience: { all: true }, target: "News", arguments: [{ word }], messageId: `batch-${word}` }));
    messages.splice(1, 0, { target: "News" });
    const answer = await call(server, "POST", "/api/v1/hubs/tasks/messages/batch", { messages });
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(answer.json.results.map((own) => own.status), [202, 422, 202, 202]);
    assert.equal(answer.json.results[1].problem.field, "audience");
    assert.deepEqual((await a.news.take(3)).map((own) => own.word), [1, 2, 3]);
  });

  test("a client that cannot acknowledge counts as unconfirmed", async (t) => {
    const a = await client(t, server, { acks: "none" });
    await acknowledged(server, "unconfirmed", { audience: { connection: a.connectionId } });
    assert.deepEqual(await a.news.next(), { word: "unconfirmed" }, "nothing is added to its event");
    await eventually(async () => (await receipt(server, "unconfirmed")).unconfirmed === 1, "it is unconfirmed");
  });

  test("the counts add up", async () => {
    const { pairs, messages } = (await call(server, "GET", "/api/v1/delivery/stats")).json;
    assert.equal(pairs.targeted, pairs.pending + pairs.acknowledged + pairs.unconfirmed + pairs.expired + pairs.dead + pairs.purged);
    assert.equal(messages.accepted, messages.settled + messages.open);
  });
});

describe("a dead letter", () => {
  const server = together(office);
  const cli = (...words) => run(["dead-letters", ...words, "--url", server.url], { env: { CONDUIT_ADMIN_KEY: OPERATOR } });
  const lines = (text) => text.trim().split("\n").filter(Boolean).map((line) => JSON.parse(line));

  test("is listed, shown, exported, sent again and purged by the API", async (t) => {
    const a = await client(t, server, { answers: false, group: "api" });
    await acknowledged(server, "api-1", { audience: { group: "api" }, correlationId: "c-1" });
    await acknowledged(server, "api-2", { audience: { group: "api" } });
    await dies(server, "api-1");
    await dies(server, "api-2");
    const [letter] = (await operator(server, "GET", `${ADMIN}/messages/api-1`)).json.deadLetters;
    assert.deepEqual([letter.reason, letter.hub, letter.tenant, letter.target, letter.correlationId],
      ["timed_out", "tasks", "back end", "News", "c-1"]);
    assert.deepEqual(letter.arguments, [{ word: "api-1" }]);
    assert.equal(letter.attempts.length, 1);
    const exported = await operator(server, "GET", `${ADMIN}/export?reason=timed_out`);
    assert.ok(lines(exported.text).some((own) => own.messageId === "api-2"), exported.text);
    await a.news.take(2);
    a.answers = true;
    const again = await operator(server, "POST", `${ADMIN}/messages/api-1/requeue?subscriber=${letter.subscriber}`);
    assert.equal(again.json.requeued, 1, again.text);
    assert.equal((await a.news.next()).messageId, "api-1");
    await eventually(async () => (await receipt(server, "api-1")).acknowledged === 1, "it is acknowledged now");
    assert.equal((await operator(server, "POST", `${ADMIN}/messages/api-1/requeue`)).status, 404);
    assert.equal((await operator(server, "DELETE", `${ADMIN}/messages/api-2`)).json.purged, 1);
    assert.equal((await dead(server, "?messageId=api-2")).count, 0);
    assert.equal((await receipt(server, "api-2")).purged, 1);
    for (const key of [BACK_END, CLIENT, null]) assert.equal((await call(server, "GET", ADMIN, undefined, { key })).status, 401);
  });

  test("and by the command line", async (t) => {
    const a = await client(t, server, { answers: false, group: "cli" });
    for (const id of ["cli-1", "cli-2", "cli-3"]) await acknowledged(server, id, { audience: { group: "cli" } });
    for (const id of ["cli-1", "cli-2", "cli-3"]) await dies(server, id);
    const listed = await cli("list", "--hub", "tasks", "--limit", "2");
    assert.equal(listed.code, 0, listed.stderr);
    assert.equal(lines(listed.stdout).length, 2);
    assert.match(listed.stderr, /--after \d+-\d+/);
    const shown = await cli("show", "cli-1");
    assert.deepEqual(lines(shown.stdout)[0].arguments, [{ word: "cli-1" }]);
    const exported = await cli("export", "--message-id", "cli-2");
    assert.deepEqual(lines(exported.stdout).map((own) => own.messageId), ["cli-2"]);
    await a.news.take(3);
    a.answers = true;
    assert.equal(lines((await cli("requeue", "cli-1")).stdout)[0].requeued, 1);
    assert.equal((await a.news.next()).messageId, "cli-1");
    assert.equal(lines((await cli("purge", "cli-2", "cli-3")).stdout)[0].purged, 2);
    const none = /there is no such dead letter/;
    const refusal = /refused with 4/;
    for (const [words, why] of [
      [["show", "cli-2"], none], [["requeue", "nosuch"], none], [["purge", "cli-2"], none],
      [["purge"], refusal], [["list", "--reason", "bored"], refusal],
    ]) {
      const { code, stderr } = await cli(...words);
      assert.equal(code, 1, words.join(" "));
      assert.match(stderr, why);
    }
    const wrong = await run(["dead-letters", "list", "--url", server.url, "--key", BACK_END]);
    assert.equal(wrong.code, 1);
  });

  test("and by Conduit's routes", async (t) => {
    const a = await client(t, server, { answers: false, group: "conduit" });
    await acknowledged(server, "conduit-1", { audience: { group: "conduit" } });
    await dies(server, "conduit-1");
    const { messages, count } = (await operator(server, "GET", `${QUEUE}/deadletter`)).json;
    assert.equal(count, messages.length);
    const own = messages.find((each) => each.messageId === "conduit-1");
    assert.deepEqual(Object.keys(own).sort(),
      ["deadLetterReason", "deliveryAttempts", "hubName", "lastError", "messageId", "messageType", "methodName", "queuedAt"]);
    assert.equal((await call(server, "GET", `${QUEUE}/deadletter`)).status, 401);
    assert.equal((await call(server, "GET", QUEUE, undefined, { key: null })).json.deadLetterMessages, 1);
    await a.news.next();
    a.answers = true;
    const again = await operator(server, "POST", `${QUEUE}/deadletter/conduit-1/requeue`);
    assert.deepEqual(again.json, { message: "Message requeued successfully" });
    assert.equal((await a.news.next()).messageId, "conduit-1");
    assert.equal((await operator(server, "POST", `${QUEUE}/deadletter/nosuch/requeue`)).status, 404);
  });

  test("to a subscriber who is gone goes to those who are there, when asked", async (t) => {
    const a = await client(t, server, { answers: false, group: "gone" });
    await acknowledged(server, "gone-1", { audience: { group: "gone" } });
    await a.stop();
    await dies(server, "gone-1");
    await eventually(async () => {
      const answer = await operator(server, "POST", `${ADMIN}/messages/gone-1/requeue`);
      if (answer.status === 409) assert.equal(answer.json.code, "subscriber_gone");
      else await dies(server, "gone-1");
      return answer.status === 409;
    }, "its session is over", 20_000);
    const b = await client(t, server, { group: "gone" });
    const again = await operator(server, "POST", `${ADMIN}/messages/gone-1/requeue?audience=current`);
    assert.equal(again.status, 200, again.text);
    assert.equal((await b.news.next()).messageId, "gone-1");
  });

  test("is no dead letter when it expired, but Conduit's list has it", async (t) => {
    const server = await office(t, { patience: 5_000 });
    await client(t, server, { answers: false });
    await acknowledged(server, "expires", { expiresAt: new Date(Date.now() + 200).toISOString() });
    await eventually(async () => (await receipt(server, "expires")).expired === 1, "it expires");
    assert.equal((await dead(server, "?messageId=expires")).count, 0);
    const { messages } = (await operator(server, "GET", `${QUEUE}/deadletter`)).json;
    assert.equal(messages.find((each) => each.messageId === "expires").deadLetterReason, "Message expired");
    assert.equal((await operator(server, "POST", `${QUEUE}/deadletter/expires/requeue`)).status, 404, "there is nothing to send again");
  });

  test("outlives kill -9, and is there for --offline when no server runs", async (t) => {
    const settings = { ttl: 30 };
    const first = await office(t, settings);
    const ids = ["off-1", "off-2", "off-3"];
    const a = await client(t, first, { answers: false, id: "a" });
    for (const id of ids) await acknowledged(first, id);
    for (const id of ids) await dies(first, id);
    const config = configuration(t, `[store]\nenabled = true\nmode = "embedded"\npath = "/nonexistent"\n`);
    const offline = (...words) => run(["dead-letters", ...words, "--offline", "--config", config], { env: first.env });
    const busy = await offline("list");
    assert.equal(busy.code, 1);
    assert.match(busy.stderr, /open in another process/);
    await first.program.kill();
    await a.stop();
    const done = async (...words) => {
      const { code, stdout, stderr } = await offline(...words);
      assert.equal(code, 0, stderr);
      return lines(stdout);
    };
    assert.deepEqual((await done("list")).map((own) => own.messageId), ids);
    const [shown] = await done("show", "off-2");
    assert.deepEqual([shown.reason, shown.arguments], ["timed_out", [{ word: "off-2" }]]);
    assert.deepEqual((await done("export", "--reason", "timed_out")).map((own) => own.messageId), ids);
    assert.equal((await done("purge", "off-1"))[0].purged, 1);
    assert.equal((await done("requeue", "off-3"))[0].requeued, 1);
    assert.deepEqual((await done("list")).map((own) => own.messageId), ["off-2"]);
    for (const words of [["show", "off-1"], ["requeue", "off-1"], ["purge", "nosuch"]]) assert.equal((await offline(...words)).code, 1, words.join(" "));
    const second = await office(t, { ...settings, folder: first.folder });
    assert.deepEqual((await dead(second)).deadLetters.map((own) => own.messageId), ["off-2"]);
    assert.equal((await receipt(second, "off-1")).purged, 1);
    const back = await client(t, second, { id: "a" });
    assert.equal((await back.news.next()).messageId, "off-3", "what was sent again comes when its client does");
    await eventually(async () => (await receipt(second, "off-3")).acknowledged === 1, "it is acknowledged now");
  });
});

describe("a breaker", () => {
  test("is held open and let go by an operator", async (t) => {
    const server = await office(t);
    const force = (word) => operator(server, "POST", `/api/v1/admin/breakers/store/${word}`);
    assert.equal((await force("open")).json.store.state, "Isolated");
    const refused = await publish(server, "tasks", { class: "acknowledged", audience: { all: true }, target: "News", arguments: [] });
    assert.deepEqual([refused.status, refused.json.code], [503, "store_unavailable"]);
    assert.ok(Number(refused.headers.get("retry-after")) > 0);
    assert.equal((await call(server, "GET", QUEUE)).json.circuitBreakerState, 3);
    assert.equal((await force("auto")).json.store.state, "Closed");
    await acknowledged(server, "after-the-breaker");
  });
});

describe("a webhook", () => {
  test("is told of settled, expired and dead messages, signed, again after a failure, and after a restart", async (t) => {
    const calls = new Inbox();
    let refuse = 1;
    const receiver = createServer(async (request, response) => {
      const body = Buffer.concat(await request.toArray());
      response.statusCode = refuse > 0 ? 500 : 204;
      if (refuse-- <= 0) calls.push({ headers: request.headers, body });
      response.end();
    });
    await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));
    t.after(() => receiver.close());
    const webhook = `
webhook_url = "http://127.0.0.1:${receiver.address().port}/hook"
webhook_secret = "${SECRET}"
webhook_events = ["settled"]
`;
    const server = await office(t, { webhook, patience: 2_000 });
    const a = await client(t, server);
    await acknowledged(server, "acked");
    await a.news.next();
    const told = (event, messageId) => eventually(() => calls.items.flatMap(({ body }) => JSON.parse(body).events)
      .find((own) => own.event === event && own.messageId === messageId), `${event} ${messageId}`);
    const settled = await told("settled", "acked");
    assert.deepEqual(settled.counts, { targeted: 1, pending: 0, acknowledged: 1, unconfirmed: 0, expired: 0, dead: 0, purged: 0 });
    a.answers = false;
    await acknowledged(server, "expired", { expiresAt: new Date(Date.now() + 200).toISOString() });
    const expired = await told("expired", "expired");
    await acknowledged(server, "dead");
    const died = await told("dead", "dead");
    const { subscribers: [{ subscriber }] } = await receipt(server, "dead");
    assert.deepEqual([expired.count, expired.subscribers], [1, [subscriber]]);
    assert.deepEqual([died.count, died.subscribers, died.reason], [1, [subscriber], "timed_out"]);
    await a.stop();
    await acknowledged(server, "gone");
    assert.equal((await told("dead", "gone")).reason, "subscriber_gone");
    const receipts = await Promise.all(["acked", "expired", "dead", "gone"].map((id) => receipt(server, id)));
    assert.deepEqual(receipts.map((own) => [own.acknowledged, own.expired, own.dead, own.pending]), [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0]]);
    for (const own of receipts) assert.equal(typeof own.settledAt, "string");
    for (const { headers, body } of calls.items) {
      const signature = createHmac("sha256", SECRET).update(`${headers["x-conduit-timestamp"]}.`).update(body).digest("hex");
      assert.equal(headers["x-conduit-signature"], `v1=${signature}`);
      assert.equal(JSON.parse(body).tenant, "back end");
    }
    refuse = Infinity;
    await client(t, server, { answers: false });
    await acknowledged(server, "dead-in-vain");
    await dies(server, "dead-in-vain");
    await server.program.kill();
    refuse = 0;
    await office(t, { webhook, folder: server.folder });
    await told("dead", "dead-in-vain");
  });
});
