//! A disk that can be full for a while, without filling anybody else's.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Problem;

/// Room for the store's reserve, its segments and what is owed in a run.
const MIB: u32 = 192;

/// How the disk gets full.
pub(crate) enum Disk {
    /// A file system in memory of its own, filled with ballast: a true ENOSPC.
    Own { mount: PathBuf },
    /// Without the right to mount: no file of the server may grow (RLIMIT_FSIZE), which it sees as
    /// EFBIG.
    FileLimit,
}

impl Disk {
    /// Makes the store's folder a disk that can be full; says which kind it is.
    pub(crate) fn prepare(store: &Path) -> Self {
        let size = format!("size={MIB}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(store)
            .output()
            .is_ok_and(|output| output.status.success());
        if mounted { Self::Own { mount: store.into() } } else { Self::FileLimit }
    }

    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Own { .. } => format!("full-disk: a tmpfs of {MIB} MiB, filled to the last byte"),
            Self::FileLimit => "full-disk: mounting is not allowed here, so RLIMIT_FSIZE keeps \
                                the server's files from growing (EFBIG, not ENOSPC)"
                .into(),
        }
    }

    pub(crate) fn fill(&self, server: Option<u32>) -> Result<(), Problem> {
        match self {
            Self::Own { mount } => {
                let mut ballast = fs::File::create(mount.join("ballast"))?;
                // From large to small, so that not one byte is left.
                for bytes in [1 << 20, 4_096, 1] {
                    let zeros = vec![0; bytes];
                    while ballast.write_all(&zeros).is_ok() {}
                }
                Ok(())
            }
            Self::FileLimit => limit(server, "4096:"),
        }
    }

    pub(crate) fn clear(&self, server: Option<u32>) -> Result<(), Problem> {
        match self {
            Self::Own { mount } => {
                let ballast = mount.join("ballast");
                if ballast.exists() { Ok(fs::remove_file(ballast)?) } else { Ok(()) }
            }
            Self::FileLimit => limit(server, "unlimited:"),
        }
    }
}

impl Disk {
    /// Copies what would go with the mount.
    pub(crate) fn keep(&self, to: &Path) -> Result<(), Problem> {
        let Self::Own { mount } = self else { return Ok(()) };
        let copied = Command::new("cp").arg("-a").arg(mount).arg(to).output()?;
        if copied.status.success() { Ok(()) } else { Err("the store cannot be copied".into()) }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Self::Own { mount } = self {
            // A folder that stays mounted is untidy and nothing else.
            let _ = Command::new("umount").arg("-l").arg(mount).output();
        }
    }
}

/// The soft limit only, so that it can be raised again.
fn limit(server: Option<u32>, soft: &str) -> Result<(), Problem> {
    let Some(pid) = server else { return Ok(()) };
    let limited = Command::new("prlimit")
        .arg(format!("--pid={pid}"))
        .arg(format!("--fsize={soft}"))
        .output()?;
    if limited.status.success() {
        return Ok(());
    }
    Err(format!("prlimit: {}", String::from_utf8_lossy(&limited.stderr)).into())
}

/// What a sync costs here: p50 and p99 in milliseconds, and syncs a second.
pub(crate) struct SyncCost {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) per_second: f64,
}

/// Appends and syncs a few hundred blocks of 4 KiB.
pub(crate) fn sync_cost(folder: &Path) -> Result<SyncCost, Problem> {
    const SYNCS: usize = 300;
    let path = folder.join("sync-probe");
    let mut file = fs::File::create(&path)?;
    let block = [7; 4_096];
    let mut took = Vec::with_capacity(SYNCS);
    let start = std::time::Instant::now();
    for _ in 0..SYNCS {
        let began = std::time::Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        took.push(began.elapsed());
    }
    let all = start.elapsed();
    fs::remove_file(path)?;
    took.sort_unstable();
    let ms = |place: usize| took[place.min(SYNCS - 1)].as_secs_f64() * 1_000.0;
    Ok(SyncCost {
        p50_ms: ms(SYNCS / 2),
        p99_ms: ms(SYNCS * 99 / 100),
        per_second: SYNCS as f64 / all.as_secs_f64(),
    })
}
