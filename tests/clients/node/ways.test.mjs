// Every story of the conformance hub on every way: three transports, two protocols.
import { describe, test } from "node:test";
import { STORIES } from "./stories/conformance.mjs";
import { conformanceServer, together } from "./support/server.mjs";
import { WAYS } from "./support/client.mjs";

const server = together(conformanceServer);

for (const way of WAYS) {
  describe(way.name, { concurrency: 3 }, () => {
    for (const [promise, tell] of Object.entries(STORIES)) {
      test(promise, { timeout: 60_000 }, (t) => tell(t, server, way));
    }
  });
}
