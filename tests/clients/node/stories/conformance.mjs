// The stories of the conformance hub: each is told on every way that the stock client knows.
import { Subject } from "@microsoft/signalr";
import assert from "node:assert/strict";
import { build, collect, connect, hear, WAYS } from "../support/client.mjs";
import { Proxy } from "../support/proxy.mjs";
import { eventually, Inbox, signal, within } from "../support/wait.mjs";

const RECONNECT_DELAYS = [0, 50, 100, 200, 400, 800, 1600, 3000];
const hub = (server, query = "") => `${server.url}/hubs/conformance${query}`;

export const STORIES = {
  async "a call returns what the method returns"(t, server, way) {
    const a = await connect(t, hub(server), way);
    for (const value of ["", "grüße ☃ 😀", 0, -1, 1.5, true, null, [1, [2, "x"]], { a: { b: [null, false] } }]) {
      assert.deepEqual(await a.invoke("Echo", value), value);
    }
    assert.equal(await a.invoke("Add", 2, 40), 42);
    assert.equal(await a.invoke("nothing"), null);
    assert.equal((await a.invoke("BigMessage", 100_000)).length, 100_000);
  },

  async "the connection id is the one the client knows"(t, server, way) {
    const a = await connect(t, hub(server, "?user=ann"), way);
    const { connectionId, userId } = lowerNames(await a.invoke("WhoAmI"));
    assert.equal(connectionId, a.connectionId);
    assert.equal(userId, "ann");
  },

  async "a hundred calls at once are answered, each its own"(t, server, way) {
    const a = await connect(t, hub(server), way);
    const numbers = Array.from({ length: 100 }, (_, number) => number);
    assert.deepEqual(await within(Promise.all(numbers.map((number) => a.invoke("Echo", number))), "the answers"), numbers);
  },

  async "a stream brings every item, in order"(t, server, way) {
    const a = await connect(t, hub(server), way);
    const [slow, fast] = await Promise.all([collect(a.stream("Counter", 10, 5)), collect(a.stream("Counter", 300, 0))]);
    assert.deepEqual(slow, { items: Array.from({ length: 10 }, (_, number) => number) });
    assert.deepEqual(fast, { items: Array.from({ length: 300 }, (_, number) => number) });
  },

  async "a stream that fails brings its items, then the error"(t, server, way) {
    const a = await connect(t, hub(server), way);
    assert.deepEqual(await collect(a.stream("FailingStream", 3)),
      { items: [0, 1, 2], error: "An error occurred on the server while streaming results." });
  },

  async "a cancelled stream stops, and the connection goes on"(t, server, way) {
    const a = await connect(t, hub(server), way);
    const items = new Inbox();
    const subscription = a.stream("Counter", 1_000_000, 1).subscribe({ next: (item) => items.push(item), complete() {}, error() {} });
    assert.deepEqual(await items.take(3), [0, 1, 2]);
    subscription.dispose();
    assert.equal(await a.invoke("Echo", "still here"), "still here");
  },

  async "an upload arrives item by item, and flows back"(t, server, way) {
    const a = await connect(t, hub(server), way);
    const numbers = new Subject();
    const sum = within(a.invoke("Sum", numbers), "the sum");
    for (let number = 1; number <= 50; number++) numbers.next(number);
    numbers.complete();
    assert.equal(await sum, 1275);

    const letters = new Subject();
    const back = collect(a.stream("EchoStream", letters));
    for (const letter of "conduit") letters.next(letter);
    letters.complete();
    assert.deepEqual(await back, { items: [..."conduit"] });
  },

  async "the server asks a client and gets its answer"(t, server, way) {
    const a = await connect(t, hub(server), way);
    const b = await connect(t, hub(server), way);
    a.on("Ask", (question) => `${question}, said a`);
    b.on("Ask", async (question) => `${question}, said b`);
    assert.equal(await within(a.invoke("AskMe", "why"), "the answer"), "why, said a");
    assert.equal(await within(a.invoke("AskConnection", b.connectionId, "how"), "the answer"), "how, said b");
  },

  async "a client without an answer is an error for who asked"(t, server, way) {
    const a = await connect(t, hub(server), way);
    await rejects(a.invoke("AskMe", "why"), /AskMe.*HubException: Client didn't provide a result\.$/);
    a.on("Ask", () => { throw new Error("no idea"); });
    await rejects(a.invoke("AskMe", "why"), /AskMe.*HubException: Error: no idea$/);
    await rejects(a.invoke("AskConnection", "nobody", "why"), /AskConnection/);
    assert.equal(await a.invoke("Echo", 1), 1);
  },

  async "a group's events reach its members alone, in order"(t, server, way) {
    const [a, b, c] = await crowd(t, server, way, 3);
    const group = `group of ${way.name}`;
    await a.invoke("JoinGroup", group);
    await b.invoke("JoinGroup", group);
    for (let number = 0; number < 20; number++) await c.invoke("SendToGroup", group, { number });
    const expected = Array.from({ length: 20 }, (_, number) => ({ number }));
    assert.deepEqual(await a.messages.take(20), expected);
    assert.deepEqual(await b.messages.take(20), expected);

    await a.invoke("SendToGroupExceptMe", group, "from a");
    assert.equal(await b.messages.next(), "from a");
    await b.invoke("LeaveGroup", group);
    await c.invoke("SendToGroup", group, "without b");
    assert.equal(await a.messages.next(), "without b");
    await Promise.all([a, b, c].map((each) => each.invoke("Echo", "flush")));
    assert.deepEqual([a, b, c].map((each) => each.messages.left), [[], [], []]);
  },

  async "events find a user, a connection, the caller"(t, server, way) {
    const user = `user-${way.name.replaceAll(/\W/g, "")}`;
    const [a, b, other] = await Promise.all([`?user=${user}`, `?user=${user}`, "?user=other"].map(async (query) => {
      const connection = await connect(t, hub(server, query), way);
      connection.messages = hear(connection, "Message");
      return connection;
    }));
    await other.invoke("SendToUser", user, "to the user");
    assert.deepEqual([await a.messages.next(), await b.messages.next()], ["to the user", "to the user"]);
    await other.invoke("SendToConnection", a.connectionId, "to a");
    assert.equal(await a.messages.next(), "to a");
    await b.invoke("SendToCaller", "to myself");
    assert.equal(await b.messages.next(), "to myself");
    assert.deepEqual([a, b, other].map((each) => each.messages.left), [[], [], []]);
  },

  async "a thousand events come before the completion, in order"(t, server, way) {
    const [a] = await crowd(t, server, way, 1);
    await within(a.invoke("SendMany", 1000), "the completion");
    assert.deepEqual(await a.messages.take(1000), Array.from({ length: 1000 }, (_, number) => number));
  },

  async "errors say what the protocol says, and no more"(t, server, way) {
    const a = await connect(t, hub(server), way);
    await rejects(a.invoke("Fail"), /^An unexpected error occurred invoking 'Fail' on the server\.$/);
    await rejects(a.invoke("FailHub", "you may know"),
      /^An unexpected error occurred invoking 'FailHub' on the server\. HubException: you may know$/);
    await rejects(a.invoke("NoSuchMethod"),
      /^Failed to invoke 'NoSuchMethod' due to an error on the server\. HubException: Method does not exist\.$/);
    await rejects(a.invoke("Add", 1), /^Failed to invoke 'Add' due to an error on the server\.$/);
    await rejects(a.invoke("Add", 1, "two"), /^Failed to invoke 'Add' due to an error on the server\.$/);
    assert.equal(await a.invoke("Echo", "unharmed"), "unharmed");
  },

  async "an abort ends the connection for good"(t, server, way) {
    const a = build(t, hub(server), way, { reconnect: RECONNECT_DELAYS });
    const closed = signal();
    a.onclose((error) => closed.ring({ error }));
    a.onreconnecting(() => closed.ring({ reconnecting: true }));
    await within(a.start(), "start");
    a.invoke("Abort").catch(() => {});
    assert.deepEqual(await within(closed.rung, "onclose"), { error: undefined });
  },

  async "who is greeted hears it, and who is rejected is told so"(t, server, way) {
    const a = build(t, `${server.url}/hubs/greeting`, way);
    const welcome = hear(a, "Welcome");
    await within(a.start(), "start");
    assert.equal(await welcome.next(), a.connectionId);

    const b = build(t, `${server.url}/hubs/greeting?reject=1`, way);
    const closed = signal();
    b.onclose((error) => closed.ring(error?.message));
    await b.start().catch((error) => closed.ring(error.message));
    assert.match(await within(closed.rung, "onclose"), /Connection closed with an error\./);
  },

  async "a lost link is made anew: another id, and it works"(t, server, way) {
    const proxy = await Proxy.to(t, server.url);
    const a = build(t, hub(proxy), way, { reconnect: RECONNECT_DELAYS });
    const [lost, back] = [signal(), signal()];
    a.onreconnecting((error) => lost.ring(error));
    a.onreconnected((id) => back.ring(id));
    const messages = hear(a, "Message");
    await within(a.start(), "start");
    const { connectionId: before } = a;
    await a.invoke("JoinGroup", `lost ${way.name}`);
    proxy.cut();
    await within(lost.rung, "onreconnecting");
    const after = await within(back.rung, "onreconnected", 20_000);
    assert.notEqual(after, before);
    assert.equal(after, a.connectionId);
    await a.invoke("SendToGroup", `lost ${way.name}`, "the group is not joined any more");
    await a.invoke("SendToConnection", after, "hello again");
    assert.equal(await messages.next(), "hello again");
  },

  async "a group hears the same, whatever way each member came"(t, server, way) {
    const members = await Promise.all(WAYS.map(async (each) => {
      const connection = await connect(t, hub(server), each);
      connection.messages = hear(connection, "Message");
      return connection;
    }));
    const group = `mixed, told by ${way.name}`;
    for (const member of members) await member.invoke("JoinGroup", group);
    const sender = await connect(t, hub(server), way);
    const payloads = ["text ☃", 7, -40_000_000_000, 2.5, true, null, [1, "two", [3]], { deep: { er: [{ x: null }] } }];
    for (const payload of payloads) await sender.invoke("SendToGroup", group, payload);
    for (const member of members) assert.deepEqual(await member.messages.take(payloads.length), payloads);
  },

  async "a stopped client is gone from its groups"(t, server, way) {
    const [a, b] = await crowd(t, server, way, 2);
    const { connectionId } = b;
    await within(b.stop(), "stop");
    await eventually(async () => {
      const problem = await a.invoke("AskConnection", connectionId, "there?").catch((error) => error.message);
      return /does not exist|AskConnection/.test(problem);
    }, "the server noticed");
    assert.equal(await a.invoke("Echo", "alone"), "alone");
  },
};

async function crowd(t, server, way, count) {
  return Promise.all(Array.from({ length: count }, async () => {
    const connection = await connect(t, hub(server), way);
    connection.messages = hear(connection, "Message");
    return connection;
  }));
}

async function rejects(promise, pattern) {
  await assert.rejects(within(promise, "the answer"), (error) => {
    assert.match(error.message, pattern);
    return true;
  });
}

/** MessagePack keeps the server's spelling of names, JSON has camelCase. */
function lowerNames(object) {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name[0].toLowerCase() + name.slice(1), value]));
}
