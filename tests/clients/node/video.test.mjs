// The enhanced-video hub, with the stock client as it is: no ?acks=, no client id.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, hear, WAYS, WEBSOCKETS_JSON } from "./support/client.mjs";
import { call, publish } from "./support/http.mjs";
import { CLIENT, office, OTHER_CLIENT, receipt } from "./support/office.mjs";
import { together } from "./support/server.mjs";
import { eventually, within } from "./support/wait.mjs";

const HUB = "enhanced-video-generation";
const REFUSED = "An unexpected error occurred invoking 'SubscribeToTask' on the server. HubException: Unauthorized access to task";
const BASE = ["correlationId", "expiresAt", "isCritical", "isExpired", "messageId", "messageType", "priority", "retryCount", "timestamp"];

const server = together((t) => office(t, { patience: 10_000 }));

const viewer = (t, way = WEBSOCKETS_JSON, key = CLIENT) => connect(t, `${server.url}/hubs/${HUB}`, way, { key });

async function owned(id, virtualKeyId = 1) {
  const answer = await call(server, "PUT", `/api/v1/tasks/${id}`, { virtualKeyId });
  assert.equal(answer.status, 204, answer.text);
}

async function say(messageId, group, payload) {
  const message = { class: "acknowledged", messageId, audience: { group }, target: "TaskCompleted", arguments: [payload], priority: 10, critical: true };
  const answer = await publish(server, HUB, message);
  assert.equal(answer.status, 202, answer.text);
  return answer.json.targeted;
}

for (const [place, way] of WAYS.entries()) {
  test(`a client that asks for no mode acknowledges its video by method, ${way.name}`, { timeout: 30_000 }, async (t) => {
    const [id, messageId] = [`task_${place}`, `done-${place}`];
    await owned(id);
    const connection = await viewer(t, way);
    const completed = hear(connection, "TaskCompleted");
    await within(connection.invoke("SubscribeToTask", id), "the answer");
    assert.equal(await say(messageId, `video-${id}`, { taskId: id, isSuccess: true }), 1);

    const { taskId, isSuccess, ...base } = await completed.next();
    assert.deepEqual([taskId, isSuccess], [id, true]);
    assert.deepEqual(Object.keys(base).sort(), BASE, "the base fields stand inside the payload");
    assert.deepEqual([base.messageId, base.retryCount, base.priority, base.isCritical], [messageId, 0, 10, true]);

    const status = () => within(connection.invoke("GetMessageStatus", messageId), "the status");
    assert.equal(await status(), 0);
    assert.equal((await receipt(server, messageId)).pending, 1, "it is owed until the client says so");
    await within(connection.invoke("AcknowledgeMessage", messageId), "the answer");
    await eventually(async () => (await receipt(server, messageId)).acknowledged === 1, "it is acknowledged");
    assert.equal(await status(), 1);

    await within(connection.invoke("UnsubscribeFromTask", id), "the answer");
    assert.equal(await say(`late-${place}`, `video-${id}`, {}), 0, "who has left owes nothing");
    await within(connection.invoke("UnsubscribeFromTask", "never-subscribed"), "the answer");
  });
}

test("another's task, an unknown one and none are refused with one text", { timeout: 30_000 }, async (t) => {
  await owned("task_of_another", 2);
  const [own, other] = [await viewer(t), await viewer(t, WEBSOCKETS_JSON, OTHER_CLIENT)];
  for (const id of ["task_of_another", "task_unheard_of", "", " "]) {
    await assert.rejects(within(own.invoke("SubscribeToTask", id), "the answer"), { message: REFUSED }, `'${id}'`);
  }
  await within(other.invoke("SubscribeToTask", "task_of_another"), "the answer");
  assert.equal(await say("for-another", "video-task_of_another", {}), 1, "its owner alone");
});

test("a connection is in its key's group, and groups are the hub's own", { timeout: 30_000 }, async (t) => {
  const connection = await viewer(t);
  const tasks = await connect(t, `${server.url}/hubs/tasks?acks=method`, WEBSOCKETS_JSON, { key: CLIENT });
  const [here, there] = [hear(connection, "TaskCompleted"), hear(tasks, "TaskCompleted")];
  const message = { audience: { group: "vkey-1" }, target: "TaskCompleted", arguments: ["video"] };
  assert.equal((await publish(server, HUB, message)).status, 202);
  assert.equal((await publish(server, "tasks", { ...message, arguments: ["task"] })).status, 202);
  assert.deepEqual([await here.next(), await there.next()], ["video", "task"]);
});

test("no client sends to another, whoever's task it names", { timeout: 30_000 }, async (t) => {
  const connection = await viewer(t);
  for (const [method, ...rest] of [["SendTaskProgressWithAck", 40, "almost"], ["SendTaskCompletedWithAck", true, {}, null]]) {
    await assert.rejects(within(connection.invoke(method, "task_0", ...rest), "the answer"), /Method does not exist/);
  }
});
