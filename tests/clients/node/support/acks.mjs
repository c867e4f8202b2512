// What stories about acknowledged messages have in common: short times, a message for a group, what became of it.
import assert from "node:assert/strict";
import { call, publish } from "./http.mjs";
import { eventually } from "./wait.mjs";

/** A configuration whose repeats come at once after `ackMs` without an answer. */
export const shortTimes = (ackMs) => `
[store]
enabled = true
[delivery]
ack_timeout_ms = ${ackMs}
backoff_ms_min = 10
backoff_ms_max = 50
processing_interval_ms = 10
`;

/** Publishes `News` on the bench hub: `{ messageId, targeted }`. */
export async function say(server, group, values = [{}]) {
  const message = { class: "acknowledged", audience: { group }, target: "News", arguments: values };
  const answer = await publish(server, "bench", message);
  assert.equal(answer.status, 202, answer.text);
  return answer.json;
}

/** What the publisher's receipt says, when nothing is pending any more. */
export const settled = (server, messageId, ms) => eventually(async () => {
  const answer = await call(server, "GET", `/api/v1/messages/${messageId}`);
  assert.equal(answer.status, 200, answer.text);
  return answer.json.pending === 0 && answer.json;
}, `${messageId} is settled`, ms);
