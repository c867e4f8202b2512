// Starts the real binaries on a free port, waits for their "listening on" line, and always ends them.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import { within } from "./wait.mjs";

const project = join(dirname(fileURLToPath(import.meta.url)), "../../../..");
export const binary = process.env.CONDUIT_BIN ?? join(project, "target/release/conduit-realtime");
const conformanceBinary = process.env.CONFORMANCE_BIN ?? join(project, "target/release/examples/conformance_server");

export const DEVELOPMENT_KEY = "condt_0123456789abcdefghijABCDEFGHIJ12";

const living = new Set();
process.on("exit", () => living.forEach((child) => child.kill("SIGKILL")));

/** A program that was started: what it wrote, how it ended. */
export class Program {
  constructor(command, args, { env = {}, input, talk = false } = {}) {
    const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("CONDUIT_")));
    // One store in files belongs to one process; who wants it names a folder of its own.
    const own = { CONDUIT__STORE__MODE: "memory", ...env };
    this.child = spawn(command, args, { env: { ...inherited, ...own }, stdio: ["pipe", "pipe", "pipe"] });
    living.add(this.child);
    this.stdout = "";
    this.stderr = "";
    this.child.stdout.on("data", (data) => { this.stdout += data; this.#look(); });
    this.child.stderr.on("data", (data) => { this.stderr += data; });
    this.child.stdin.on("error", () => {});
    if (!talk) this.child.stdin.end(input);
    this.watchers = [];
    this.exited = new Promise((resolve) => {
      this.child.on("error", (error) => { this.stderr += error; this.#over(resolve, { code: null, signal: String(error) }); });
      this.child.on("close", (code, signal) => this.#over(resolve, { code, signal }));
    });
  }

  #over(resolve, end) {
    living.delete(this.child);
    this.end = end;
    resolve(end);
    this.#look();
  }

  #look() {
    this.watchers = this.watchers.filter((watcher) => !watcher());
  }

  /** The match of a pattern in standard output, as soon as it is there. */
  line(pattern, ms = 15_000) {
    const found = new Promise((resolve, reject) => {
      this.watchers.push(() => {
        const match = pattern.exec(this.stdout);
        if (match) resolve(match);
        else if (this.end) reject(new Error(`ended with ${JSON.stringify(this.end)} before ${pattern}\n${this.said()}`));
        return match || this.end;
      });
      this.#look();
    });
    return within(found, `${pattern} on standard output`, ms).catch((error) => {
      throw new Error(`${error.message}\n${this.said()}`);
    });
  }

  said() {
    return `--- standard output\n${this.stdout.slice(-2000)}\n--- standard error\n${this.stderr.slice(-4000)}`;
  }

  signal(name) {
    this.child.kill(name);
  }

  /** How it ended, waited for. */
  ended(ms = 10_000) {
    return within(this.exited, "the end of the program", ms).catch((error) => {
      throw new Error(`${error.message}\n${this.said()}`);
    });
  }

  async kill() {
    this.child.kill("SIGKILL");
    await this.exited;
  }
}

/** Runs a subcommand to its end. */
export async function run(args, options = {}) {
  const program = new Program(binary, args, options);
  const { code } = await program.ended(options.ms);
  return { code, stdout: program.stdout, stderr: program.stderr };
}

/** A configuration file that is gone after the test. */
export function configuration(t, text) {
  const folder = mkdtempSync(join(tmpdir(), "stories-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "gateway.toml");
  writeFileSync(file, text);
  return file;
}

/** The gateway: `{ url, key, program }`. Without `config` it has the development key; `command` is what starts it. */
export async function gateway(t, { config, bench = true, env = {}, command = [] } = {}) {
  const args = ["serve", "--listen", "127.0.0.1:0"];
  if (bench) args.push("--bench-hub");
  if (config !== undefined) args.push("--config", configuration(t, config));
  const [first, ...rest] = [...command, binary, ...args];
  const program = new Program(first, rest, { env: { CONDUIT__AUTH__DEVELOPMENT_KEY: DEVELOPMENT_KEY, ...env } });
  t.after(() => program.kill());
  const [, url] = await program.line(/^listening on (http:\/\/\S+)$/m);
  return { url, program, key: DEVELOPMENT_KEY };
}

/** What the tests of a file, or of a `describe`, have together: `start(t)` makes it before the first, and it ends after the last. */
export function together(start) {
  const cleanings = [];
  const had = {};
  before(async () => { Object.assign(had, await start({ after: (clean) => cleanings.unshift(clean) })); });
  after(async () => { for (const clean of cleanings) await clean(); });
  return had;
}

/** The conformance server; `CONFORMANCE_URL` names one that runs already. */
export async function conformanceServer(t) {
  if (process.env.CONFORMANCE_URL) return { url: process.env.CONFORMANCE_URL, foreign: true };
  const program = new Program(conformanceBinary, ["0"]);
  t.after(() => program.kill());
  const [, url] = await program.line(/^listening on (http:\/\/\S+)$/m);
  return { url, program };
}
