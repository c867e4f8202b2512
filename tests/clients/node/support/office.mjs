// An office: a gateway that keeps messages, with a back end's, a client's and an operator's key, and what they ask of it.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as path } from "node:path";
import { build, hear, WEBSOCKETS_JSON } from "./client.mjs";
import { call, publish } from "./http.mjs";
import { gateway } from "./server.mjs";
import { eventually, within } from "./wait.mjs";

export const BACK_END = "condt_of_the_back_end";
export const OPERATOR = "condt_of_the_operator";
export const CLIENT = "condt_of_the_client";
export const OTHER_CLIENT = "condt_of_another_client";
export const ADMIN = "/api/v1/admin/dead-letters";
export const QUEUE = "/health/signalr/queue";
const sha256 = (key) => createHash("sha256").update(key).digest("hex");

/** A gateway with keys of all three kinds and an embedded store of its own; an attempt has `patience` ms, and is the only one. */
export async function office(t, { webhook = "", folder, patience = 300, delivery = "retry_attempts_max = 0", ttl = 1, store = "", command } = {}) {
  if (!folder) {
    folder = mkdtempSync(path(tmpdir(), "office-"));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
  }
  const env = { CONDUIT__STORE__ENABLED: "true", CONDUIT__STORE__MODE: "embedded", CONDUIT__STORE__PATH: folder };
  const config = `
[session]
ttl_seconds = ${ttl}
[store]
${store}
[delivery]
ack_timeout_ms = ${patience}
${delivery}
[admin]
key_sha256 = "${sha256(OPERATOR)}"
[[auth.virtual_keys]]
id = 1
name = "web"
sha256 = "${sha256(CLIENT)}"
[[auth.virtual_keys]]
id = 2
name = "another web"
sha256 = "${sha256(OTHER_CLIENT)}"
[[auth.service_keys]]
name = "back end"
sha256 = "${sha256(BACK_END)}"
${webhook}`;
  const server = await gateway(t, { config, bench: false, env, command });
  return Object.assign(server, { key: BACK_END, folder, env });
}

let number = 0;

/**
 * A client that acknowledges by method, or does not answer; in a group, if one is named. With a session, unless `id` is null;
 * `via` is a proxy to the server.
 */
export async function client(t, server, options = {}) {
  const { acks = "method", answers = true, group, way = WEBSOCKETS_JSON, id = `tab-${++number}`, key = CLIENT, via = server, reconnect } = options;
  const session = id === null ? "" : `&clientId=${id}`;
  const connection = build(t, `${via.url}/hubs/tasks?acks=${acks}${session}`, way, { key, reconnect });
  connection.news = hear(connection, "News");
  connection.answers = answers;
  connection.on("News", (message) => {
    if (connection.answers && acks === "method") connection.invoke("AcknowledgeMessage", message.messageId).catch(() => {});
  });
  await within(connection.start(), "start");
  if (group) await join(server, group, connection);
  return connection;
}

/** The back end puts a connection into a group. */
export async function join(server, group, { connectionId }) {
  const joined = await call(server, "PUT", `/api/v1/hubs/tasks/groups/${group}/connections/${connectionId}`);
  assert.equal(joined.status, 204, joined.text);
}

export async function acknowledged(server, messageId, more = {}) {
  const message = { class: "acknowledged", audience: { all: true }, target: "News", arguments: [{ word: messageId }], messageId, ...more };
  const answer = await publish(server, "tasks", message);
  assert.equal(answer.status, 202, answer.text);
  return answer.json;
}

export const operator = (server, method, path, body) => call(server, method, path, body, { key: OPERATOR });
export const receipt = async (server, id) => (await call(server, "GET", `/api/v1/messages/${id}`)).json;
export const dead = async (server, query = "") => (await operator(server, "GET", `${ADMIN}${query}`)).json;
export const dies = (server, id, count = 1) => eventually(async () => (await dead(server, `?messageId=${id}`)).count === count, `${id} dies`);
