// The bench hub of the real binary, on every way.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { collect, connect, hear, WAYS } from "./support/client.mjs";
import { gateway, together } from "./support/server.mjs";
import { within } from "./support/wait.mjs";

const server = together((t) => (process.env.BENCH_URL ? { url: process.env.BENCH_URL } : gateway(t)));

for (const way of WAYS) {
  describe(way.name, () => {
    test("echo, broadcast, group, question, stream", { timeout: 30_000 }, async (t) => {
      const url = `${server.url}/hubs/bench`;
      const [a, b] = [await connect(t, url, way), await connect(t, url, way)];
      const [heardByA, heardByB] = [hear(a, "Broadcast"), hear(b, "Broadcast")];
      assert.equal(await within(a.invoke("Echo", "x".repeat(256)), "the answer"), "x".repeat(256));

      await within(a.invoke("Broadcast", "to all"), "the answer");
      assert.deepEqual([await heardByA.next(), await heardByB.next()], ["to all", "to all"]);

      await within(b.invoke("JoinGroup", "room"), "the answer");
      await within(a.invoke("SendToGroup", "room", "to the room"), "the answer");
      assert.equal(await heardByB.next(), "to the room");
      await within(b.invoke("LeaveGroup", "room"), "the answer");
      await within(a.invoke("SendToGroup", "room", "to an empty room"), "the answer");
      await within(b.invoke("Echo", "flush"), "the answer");
      assert.deepEqual([heardByA.left, heardByB.left], [[], []]);

      b.on("Ask", (question) => `${question}!`);
      assert.equal(await within(a.invoke("AskClient", b.connectionId, "well"), "the answer"), "well!");
      assert.deepEqual(await collect(a.stream("Counter", 5, 1)), { items: [0, 1, 2, 3, 4] });
    });
  });
}
