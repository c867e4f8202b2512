// A disk that is full for a while: what is new is refused, what was accepted settles, and it goes on without a restart.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Disk } from "./support/disk.mjs";
import { call, publish } from "./support/http.mjs";
import { acknowledged, client, dead, dies, office, operator, receipt } from "./support/office.mjs";
import { eventually } from "./support/wait.mjs";

const STORE = "segment_mib = 4";
const DELIVERY = "retry_attempts_max = 0\nbreaker_open_ms = 1000";
const PATIENT = "exec \"$@\"";
const LOGS = [
  ["its log is somewhere else", PATIENT, true],
  // What cannot be written cannot be told either; once that ended the store's thread.
  ["its log cannot be written either", `${PATIENT} 2> /dev/full`, true],
  // The signal that goes with it must not end the process either.
  ["a limit keeps its files from growing", PATIENT, false],
];

const health = async (server) => (await operator(server, "GET", "/api/v1/admin/store")).json;
const offer = (server, messageId) => publish(server, "tasks", {
  class: "acknowledged", messageId, audience: { all: true }, target: "News", arguments: [{ word: messageId }],
});

describe("a full disk", { concurrency: 2 }, () => {
  for (const [where, script, mount] of LOGS) {
    test(`refuses what is new with 503, settles what was accepted, and is forgotten when it has room: ${where}`, { timeout: 120_000 }, async (t) => {
      const disk = Disk.prepare(t, { mount });
      const settings = { folder: disk.folder, store: STORE, delivery: DELIVERY, ttl: 60, patience: 60_000, command: ["sh", "-c", script, "sh"] };
      const server = await office(t, settings);
      const { pid } = server.program.child;
      const a = await client(t, server, { answers: false, id: "a" });
      const owed = ["before-1", "before-2", "before-3"];
      for (const id of owed) await acknowledged(server, id);
      await a.news.take(owed.length);
      const sound = await health(server);

      disk.fill(pid);
      let tries = 0;
      const accepted = [];
      const refused = await eventually(async () => {
        const messageId = `while-full-${tries++}`;
        const answer = await offer(server, messageId);
        if (answer.status === 202) accepted.push(messageId);
        return answer.status !== 202 && answer;
      }, "new messages are refused", 30_000);
      assert.deepEqual([refused.status, refused.json.code], [503, "store_unavailable"], refused.text);
      assert.ok(Number(refused.headers.get("retry-after")) > 0);
      const { diskFull, failing } = await health(server);
      assert.deepEqual([diskFull, failing], [true, null], "operators see it");

      const ordinary = await publish(server, "tasks", { audience: { all: true }, target: "Small", arguments: [] });
      assert.equal(ordinary.status, 202, "what is not kept needs no disk");
      const answered = ["before-1", "before-2"];
      for (const id of answered) a.invoke("AcknowledgeMessage", id).catch(() => {});
      // The reserve is for the ends of what was accepted. A limit on files leaves room for them in new ones.
      const settled = async (id) => (await receipt(server, id)).acknowledged === 1;
      for (const id of answered) await eventually(() => settled(id), `${id} settles on the full disk`);
      assert.equal((await offer(server, "still")).status, 503);

      disk.clear(pid);
      const again = await eventually(async () => {
        const answer = await offer(server, "after");
        return answer.status === 202 && answer;
      }, "it accepts again, by itself", 30_000);
      assert.equal(again.json.targeted, 1);
      assert.equal((await offer(server, "before-1")).json.targeted, 1, "a repeat has its first answer");
      assert.deepEqual(server.program.end, undefined, "without a restart");
      assert.deepEqual(await health(server), sound);
      for (const id of answered) await eventually(() => settled(id), `${id} is settled`);
      assert.deepEqual(a.news.items.map((own) => own.messageId), [...owed, ...accepted, "after"], "each once");

      await server.program.kill();
      const next = await office(t, settings);
      const b = await client(t, next, { id: "a" });
      const left = ["before-3", ...accepted, "after"];
      for (const id of left) await eventually(async () => (await receipt(next, id)).acknowledged === 1, `${id} comes after the restart`);
      assert.deepEqual(b.news.items.map((own) => own.messageId), left);
      for (const id of answered) assert.equal((await receipt(next, id)).acknowledged, 1, id);
    });
  }

  test("a message dies there, and its dead letter is kept", { timeout: 120_000 }, async (t) => {
    const disk = Disk.prepare(t);
    const settings = { folder: disk.folder, store: STORE, delivery: DELIVERY, ttl: 60, patience: 2_000, command: ["sh", "-c", PATIENT, "sh"] };
    const server = await office(t, settings);
    const { pid } = server.program.child;
    const a = await client(t, server, { answers: false });
    await acknowledged(server, "doomed");
    await a.news.next();
    disk.fill(pid);
    await eventually(async () => (await offer(server, `filler-${Math.random()}`)).status === 503, "it is full");
    await dies(server, "doomed");
    disk.clear(pid);
    await eventually(async () => (await offer(server, "after")).status === 202, "it accepts again", 30_000);
    await dies(server, "doomed");
    await server.program.kill();
    const next = await office(t, settings);
    assert.equal((await dead(next, "?messageId=doomed")).deadLetters[0].reason, "timed_out");
    assert.equal((await call(next, "GET", "/api/v1/messages/doomed")).json.dead, 1);
  });
});
