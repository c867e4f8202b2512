// Acknowledged messages with the stock .NET client (PEERS_DIR): what each kind of handler makes of a message, how often it ran.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { describe, test } from "node:test";
import { say, settled, shortTimes } from "../node/support/acks.mjs";
import { gateway, Program, together } from "../node/support/server.mjs";
import { eventually } from "../node/support/wait.mjs";

const ACK_MS = 1_000;
const CALL_MS = 40_000;

const server = together((t) => gateway(t, { config: shortTimes(ACK_MS) }));

/** The client in a process of its own, in a group of its own. */
class Client {
  static async start(t, acks, options) {
    const url = `${server.url}/hubs/bench?acks=${acks}&clientId=${randomUUID()}`;
    const client = new Client();
    client.program = new Program(join(process.env.PEERS_DIR, "aspnet.sh"), ["client", url, ...options], { talk: true });
    t.after(() => client.program.kill());
    client.group = randomUUID();
    client.command("JoinGroup", client.group);
    await client.program.line(/^\{"method":"JoinGroup","result":null\}$/m, 30_000);
    return client;
  }

  command(...words) {
    this.program.child.stdin.write(`${JSON.stringify(words)}\n`);
  }

  /** The lines of handlers that ran. */
  get runs() {
    const lines = this.program.stdout.split("\n").slice(0, -1).map((line) => JSON.parse(line));
    return lines.filter(({ event }) => event === "News");
  }
}

/** Publishes to the one client of a group. */
async function tell(group, values = [{ order: 66 }]) {
  const { messageId, targeted } = await say(server, group, values);
  assert.equal(targeted, 1);
  return messageId;
}

/** Long enough for every repeat that could come. */
const repeats = () => new Promise((resolve) => setTimeout(resolve, 2 * ACK_MS));

const VALUE = ["--answer", 'News:1="done"'];
const FAIL = ["--fail", "News:1=no"];
const VOID = ["--on", "News:1"];
const RESULT = [
  ["a handler that returns a value", VALUE, "acknowledged", 1],
  ["a handler that returns null", ["--answer", "News:1=null"], "acknowledged", 1],
  ["a handler that returns nothing", VOID, "unconfirmed", 1],
  ["two handlers, of which one returns something", [...VOID, ...VALUE], "acknowledged", 2],
  // Then it binds the arguments to none, and says that it cannot parse them.
  ["no handler at all", [], "dead", 0],
  ["no handler at all, and no arguments", [], "unconfirmed", 0, []],
  ["a handler of other arguments", ["--answer", "News:2=1"], "dead", 0],
  ["a handler that throws every time", FAIL, "dead", 4],
];
const METHOD = [
  ["a handler that returns a value and does not acknowledge", VALUE, "dead", 4],
  ["a handler that returns nothing and does not acknowledge", VOID, "dead", 4],
  ["a handler that throws every time", FAIL, "dead", 4],
  ["no handler at all", [], "dead", 0],
];
const WAYS = [
  ["WebSockets, JSON", ["--transport", "ws"]],
  ["WebSockets, MessagePack", ["--transport", "ws", "--messagepack"]],
  ["Server-Sent Events, JSON", ["--transport", "sse"]],
  ["long polling, MessagePack", ["--transport", "lp", "--messagepack"]],
];

for (const [way, options] of WAYS) {
  describe(`the .NET client, ${way}`, { concurrency: 4 }, () => {
    for (const [acks, cases] of [["result", RESULT], ["method", METHOD]]) {
      for (const [name, handlers, outcome, runs, values] of cases) {
        test(`mode ${acks}: ${name}: ${outcome}, run ${runs} times`, { timeout: 60_000 }, async (t) => {
          const client = await Client.start(t, acks, [...options, ...handlers]);
          assert.equal((await settled(server, await tell(client.group, values), 15_000))[outcome], 1);
          await repeats();
          assert.equal(client.runs.length, runs, client.program.said());
        });
      }
    }

    test("mode method: a message that is refused comes again, and is settled when it is acknowledged", { timeout: 60_000 }, async (t) => {
      const client = await Client.start(t, "method", [...options, ...VOID]);
      const messageId = await tell(client.group);
      await eventually(() => client.runs.length === 1, "it has come");
      client.command("NackMessage", messageId, "disk full");
      await eventually(() => client.runs.length === 2, "it comes again");
      client.command("AcknowledgeMessage", messageId);
      assert.equal((await settled(server, messageId, 15_000)).acknowledged, 1);
      await repeats();
      const seen = client.runs.map(({ arguments: [message] }) => [message.order, message.messageId, message.retryCount]);
      assert.deepEqual(seen, [[66, messageId, 0], [66, messageId, 1]]);
    });
  });
}

describe("the .NET client while a call of 40 s runs", { concurrency: 2 }, () => {
  for (const acks of ["result", "method"]) {
    test(`mode ${acks}: its ack is heard`, { timeout: 90_000 }, async (t) => {
      const client = await Client.start(t, acks, acks === "result" ? VALUE : VOID);
      const began = Date.now();
      client.command("send", "Wait", CALL_MS);
      const messageId = await tell(client.group);
      await eventually(() => client.runs.length === 1, "it has come");
      if (acks === "method") client.command("send", "AcknowledgeMessage", messageId);
      assert.equal((await settled(server, messageId, 15_000)).acknowledged, 1);
      assert.ok(Date.now() - began < CALL_MS / 2);
      client.command("Echo", 1);
      await client.program.line(/^\{"method":"Echo","result":1\}$/m, 2 * CALL_MS);
      assert.ok(Date.now() - began >= CALL_MS, "the call took the one place for calls all the time");
      assert.equal(client.runs.length, 1);
    });
  }
});
