// A TCP proxy that cuts: it forwards bytes, and resets every link when told, or in the middle of a chunk;
// or it leaves every link half open.
import { connect, createServer } from "node:net";

export class Proxy {
  static async to(t, url) {
    const proxy = new Proxy(url);
    await new Promise((resolve) => proxy.server.listen(0, "127.0.0.1", resolve));
    t.after(() => proxy.close());
    return proxy;
  }

  /** Links that come from now on go to `target`, which may be changed. */
  constructor(target) {
    this.target = target;
    this.links = new Set();
    this.cuts = 0;
    this.server = createServer((near) => this.#link(near, new URL(this.target)));
  }

  get url() {
    return `http://127.0.0.1:${this.server.address().port}`;
  }

  /** From now on a link is reset once it has carried so many bytes towards the client, in the middle of a chunk. */
  cutEvery(bytes) {
    this.bytesToCut = bytes;
  }

  stopCutting() {
    this.bytesToCut = undefined;
  }

  /** Resets every link at once. */
  cut() {
    this.links.forEach((link) => this.#reset(link));
  }

  /**
   * From now on every link is half open, as when the client's host has lost its power: nothing comes through in
   * either direction, and neither side is told.
   */
  freeze() {
    this.links.forEach((link) => { link.frozen = true; });
  }

  /** The client's host is up again and knows nothing of the link: it answers the next bytes with a reset. */
  forget() {
    this.links.forEach((link) => { link.forgotten = true; });
  }

  close() {
    this.stopCutting();
    this.cut();
    return new Promise((resolve) => this.server.close(resolve));
  }

  #link(near, target) {
    const far = connect(Number(target.port), target.hostname);
    near.setNoDelay(true);
    far.setNoDelay(true);
    const link = { near, far, carried: 0 };
    this.links.add(link);
    for (const socket of [near, far]) {
      socket.on("error", () => this.#reset(link));
      // Of a frozen link one side does not hear of the other's end.
      socket.on("close", () => (!link.frozen || (near.destroyed && far.destroyed)) && this.links.delete(link));
    }
    near.on("data", (chunk) => !link.frozen && far.writable && far.write(chunk));
    near.on("end", () => link.frozen || far.end());
    far.on("end", () => link.frozen || near.end());
    far.on("data", (chunk) => {
      if (link.forgotten) return this.#reset(link);
      if (link.frozen) return;
      link.carried += chunk.length;
      if (this.bytesToCut === undefined || link.carried < this.bytesToCut) {
        if (near.writable && !near.write(chunk)) {
          far.pause();
          near.once("drain", () => far.resume());
        }
        return;
      }
      // Half of the chunk arrives; what the client had sent meanwhile may be lost on the way as well.
      far.pause();
      near.write(chunk.subarray(0, Math.floor(chunk.length / 2)), () => this.#reset(link));
    });
  }

  #reset(link) {
    if (!this.links.delete(link)) return;
    this.cuts += 1;
    link.near.resetAndDestroy();
    link.far.resetAndDestroy();
  }
}
