// A disk that can be full for a while, without filling anybody else's; as examples/ledger/disk.rs.
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const MIB = 128;

export class Disk {
  /** A file system in memory, or, where mounting is not allowed or wanted, a limit on the size of the server's files. */
  static prepare(t, { mount = true } = {}) {
    const disk = new Disk();
    disk.folder = mkdtempSync(join(tmpdir(), "disk-"));
    disk.mounted = mount && spawnSync("mount", ["-t", "tmpfs", "-o", `size=${MIB}m`, "tmpfs", disk.folder]).status === 0;
    t.after(() => {
      if (disk.mounted) spawnSync("umount", ["-l", disk.folder]);
      rmSync(disk.folder, { recursive: true, force: true });
    });
    if (disk.mounted) t.diagnostic(`a tmpfs of ${MIB} MiB, filled to the last byte`);
    else t.diagnostic("RLIMIT_FSIZE keeps the server's files from growing (EFBIG, not ENOSPC)");
    return disk;
  }

  fill(pid) {
    if (!this.mounted) return limit(pid, "4096:");
    const ballast = openSync(join(this.folder, "ballast"), "w");
    // From large to small, so that not one byte is left.
    for (const bytes of [1 << 20, 4_096, 1]) {
      const zeros = Buffer.alloc(bytes);
      for (;;) {
        try {
          writeSync(ballast, zeros);
        } catch (error) {
          if (error.code === "ENOSPC") break;
          throw error;
        }
      }
    }
    closeSync(ballast);
  }

  clear(pid) {
    if (!this.mounted) return limit(pid, "unlimited:");
    unlinkSync(join(this.folder, "ballast"));
  }
}

/** The soft limit only, so that it can be raised again. */
function limit(pid, soft) {
  const limited = spawnSync("prlimit", [`--pid=${pid}`, `--fsize=${soft}`], { encoding: "utf8" });
  if (limited.status !== 0) throw new Error(`prlimit: ${limited.error ?? limited.stderr}`);
}
