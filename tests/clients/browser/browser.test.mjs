// The stock browser client in a real Chromium: another origin, credentials, preflights, access tokens in queries.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { call, publish } from "../node/support/http.mjs";
import { gateway } from "../node/support/server.mjs";
import { within } from "../node/support/wait.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const FILES = {
  "/": ["page.html", "text/html"],
  "/signalr.js": ["node_modules/@microsoft/signalr/dist/browser/signalr.js", "text/javascript"],
  "/msgpack.js": ["node_modules/@microsoft/signalr-protocol-msgpack/dist/browser/signalr-protocol-msgpack.js", "text/javascript"],
};
/** HttpTransportType of the client. */
const WAYS = [["WebSockets", 1, false], ["WebSockets", 1, true], ["Server-Sent Events", 2, false], ["long polling", 4, false], ["long polling", 4, true]];
// Chromium would otherwise look for hosts that a closed network does not have.
const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

const cleanings = [];
const cleanLater = (clean) => cleanings.unshift(clean);
let allowed, foreign, server, browser;

before(async () => {
  [allowed, foreign] = [await pages(), await pages()];
  server = await gateway({ after: cleanLater }, { config: `[cors]\norigins = ["${allowed}"]\n` });
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGUMENTS });
  cleanLater(() => browser.close());
});
after(async () => { for (const clean of cleanings) await clean(); });

for (const [index, [name, transport, binary]] of WAYS.entries()) {
  test(`a page of an allowed origin hears its task, ${name}, ${binary ? "MessagePack" : "JSON"}`, { timeout: 60_000 }, async (t) => {
    const task = `browser-${index}`;
    assert.equal((await call(server, "PUT", `/api/v1/tasks/${task}`, { virtualKeyId: 1 })).status, 204);
    const page = await open(t, allowed);
    assert.deepEqual(await hear(page, { transport, binary, task }), [task, 40, "almost there"]);
  });
}

for (const [name, transport] of [["WebSockets", 1], ["Server-Sent Events", 2], ["long polling", 4]]) {
  test(`a page of a foreign origin gets nothing, ${name}`, { timeout: 60_000 }, async (t) => {
    const page = await open(t, foreign);
    await assert.rejects(hear(page, { transport, binary: false, task: "browser-0" }), /Failed to (fetch|complete negotiation|start)/);
  });
}

const hear = (page, { transport, binary, task }) => within(
  page.evaluate((what) => globalThis.hear(what), { base: server.url, key: server.key, transport, binary, task }), "the event", 30_000);

async function open(t, origin) {
  const page = await browser.newPage();
  t.after(() => page.close());
  await page.goto(origin);
  return page;
}

/** A web server of the pages, which also is the back end that publishes. */
async function pages() {
  const web = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://pages.example");
    if (pathname === "/publish") {
      const task = searchParams.get("task");
      const answer = await publish(server, "tasks", { audience: { group: `task-${task}` }, target: "TaskProgress", arguments: [task, 40, "almost there"] });
      response.writeHead(answer.status).end();
      return;
    }
    const [file, type] = FILES[pathname] ?? [];
    if (!file) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": type }).end(readFileSync(join(here, file)));
  });
  await new Promise((resolve) => web.listen(0, "127.0.0.1", resolve));
  cleanLater(() => web.close());
  return `http://127.0.0.1:${web.address().port}`;
}
