// What the README says, done as it is written: its commands in a shell, its snippet in a file.
import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { call } from "./support/http.mjs";
import { gateway, Program } from "./support/server.mjs";
import { eventually } from "./support/wait.mjs";

const readme = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");
const story = readme.slice(readme.indexOf("## Use it"), readme.indexOf("## What works"));

/** The indented blocks of the story, in order. */
const blocks = story.split(/\n(?! {4}|\n)/).map((part) => part.match(/^ {4}.*$/gm)).filter(Boolean)
  .map((lines) => lines.map((line) => line.slice(4)).join("\n"));

test("the story of the README", { timeout: 60_000 }, async (t) => {
  const server = await gateway(t);
  const here = (text) => text.replaceAll("http://127.0.0.1:8080", server.url).replace(/^export KEY=.*$/m, "");
  const shell = async (text) => {
    const program = new Program("bash", ["-euc", here(text)], { env: { KEY: server.key } });
    t.after(() => program.kill());
    assert.equal((await program.ended()).code, 0, program.said());
    return program.stdout;
  };
  const [register, publish, printed] = blocks;
  assert.match(register, /^curl -X PUT/m);
  assert.equal(await shell(register), "");

  const [, snippet] = /```js\n(.*?)```/s.exec(story);
  // Beside the package that it imports.
  const file = fileURLToPath(new URL(`node_modules/.readme-${process.pid}.mjs`, import.meta.url));
  writeFileSync(file, here(snippet));
  t.after(() => rmSync(file));
  const client = new Program(process.execPath, [file], { env: { KEY: server.key } });
  t.after(() => client.kill());
  const subscribed = async () => (await call(server, "HEAD", "/api/v1/hubs/tasks/groups/task-7")).status === 200;
  await eventually(subscribed, "the subscription");

  assert.equal((await shell(publish)).match(/"messageId"/g).length, 3);
  await client.line(/^TaskCompleted .*$/m);
  assert.deepEqual(client.stdout.split("\n").filter((line) => line.startsWith("Task")), printed.split("\n"));
});
