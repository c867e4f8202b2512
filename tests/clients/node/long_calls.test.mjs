// With the times of the defaults: an answer is due after 30 s, and a call of 40 s takes the one place for calls.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, test } from "node:test";
import { say, settled } from "./support/acks.mjs";
import { connect, WAYS, WEBSOCKETS_JSON } from "./support/client.mjs";
import { gateway, together } from "./support/server.mjs";
import { eventually, Inbox, within } from "./support/wait.mjs";

describe("an ack while a call of 40 s runs", { concurrency: 4 }, () => {
  const CALL_MS = 40_000;
  const patient = together((t) => gateway(t, { config: "[store]\nenabled = true\n" }));

  for (const way of [WEBSOCKETS_JSON, WAYS.at(-1)]) {
    for (const acks of ["method", "result"]) {
      test(`mode ${acks}, ${way.name}: it is heard, and time stands still for one that cannot be read`, { timeout: 90_000 }, async (t) => {
        const group = `${acks} ${way.name}`;
        const connection = await connect(t, `${patient.url}/hubs/bench?acks=${acks}&clientId=${randomUUID()}`, way);
        await within(connection.invoke("JoinGroup", group), "the answer");
        const answers = new Inbox();
        let ran = 0;
        connection.on("News", () => { ran++; return acks === "result" ? answers.next() : undefined; });
        const answer = (messageId) => {
          if (acks === "result") return answers.push(true);
          return connection.invoke("AcknowledgeMessage", messageId);
        };
        const long = connection.invoke("Wait", CALL_MS);
        const began = Date.now();
        const { messageId: first } = await say(patient, group);
        await eventually(() => ran === 1, "the first has come");
        await answer(first);
        assert.equal((await settled(patient, first)).acknowledged, 1);
        assert.ok(Date.now() - began < CALL_MS / 2, "while the call ran");
        const { messageId: second } = await say(patient, group);
        await eventually(() => ran === 2, "the second has come");
        // It needs the place that the long call has, so the ack behind it is not read for a while.
        const echo = connection.invoke("Echo", 1);
        const ack = answer(second);
        await within(Promise.all([long, echo, ack]), "the answers", 2 * CALL_MS);
        assert.ok(Date.now() - began >= CALL_MS);
        assert.equal((await settled(patient, second)).acknowledged, 1);
        assert.equal(ran, 2, "nothing was sent again");
      });
    }
  }
});
