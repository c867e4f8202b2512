// Every story of the conformance hub on every way: three transports, two protocols.
import { after, before, describe, test } from "node:test";
import { STORIES } from "./stories/conformance.mjs";
import { conformanceServer } from "./support/server.mjs";
import { WAYS } from "./support/client.mjs";

let server;
const cleanings = [];
before(async () => { server = await conformanceServer({ after: (clean) => cleanings.push(clean) }); });
after(async () => { for (const clean of cleanings) await clean(); });

for (const way of WAYS) {
  describe(way.name, { concurrency: 3 }, () => {
    for (const [promise, tell] of Object.entries(STORIES)) {
      test(promise, { timeout: 60_000 }, (t) => tell(t, server, way));
    }
  });
}
