//! The real server: started, asked, killed, started again on the same store and port.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use crate::Problem;
use crate::flags::Flags;
use crate::http::Http;
use crate::settings;

/// The server of tests has a key that is known.
pub(crate) const KEY: &str = "condt_0123456789abcdefghijABCDEFGHIJ12";
/// A start includes reading the whole store.
const START_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);

pub(crate) struct Server {
    binary: PathBuf,
    configuration: PathBuf,
    log: PathBuf,
    pinned: bool,
    pub(crate) address: String,
    tasks: TaskTracker,
    child: Mutex<Option<Child>>,
    pub(crate) pid: std::sync::atomic::AtomicU32,
    pub(crate) failed_starts: AtomicU64,
    pub(crate) ready_ms_max: AtomicU64,
}

impl Server {
    /// Writes the configuration; nothing runs yet.
    pub(crate) async fn prepare(
        flags: &Flags,
        directory: &std::path::Path,
        tasks: &TaskTracker,
    ) -> Result<(Arc<Self>, String), Problem> {
        // Free now, and with luck still when the server binds it.
        let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
        let text = settings::configuration(flags, port, &directory.join("store"));
        let configuration = directory.join("gateway.toml");
        std::fs::write(&configuration, &text)?;
        let server = Self {
            binary: std::fs::canonicalize(&flags.server)
                .map_err(|error| format!("{}: {error}", flags.server.display()))?,
            configuration,
            log: directory.join("server.log"),
            pinned: flags.cores,
            address: format!("127.0.0.1:{port}"),
            tasks: tasks.clone(),
            child: Mutex::new(None),
            pid: 0.into(),
            failed_starts: AtomicU64::new(0),
            ready_ms_max: AtomicU64::new(0),
        };
        Ok((Arc::new(server), text))
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn start(&self) -> Result<(), Problem> {
        let mut child = self.child.lock().await;
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        // The file limit of `full-disk` is to be an error, not the end of the process.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]);
        if self.pinned {
            command.args(["taskset", "-c", "0"]);
        }
        command
            .arg(&self.binary)
            .args(["serve", "--config"])
            .arg(&self.configuration)
            .env("CONDUIT__AUTH__DEVELOPMENT_KEY", KEY)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        let began = Instant::now();
        let mut started = command.spawn()?;
        self.pid.store(started.id().unwrap_or_default(), Ordering::Relaxed);
        self.ready(&mut started, began).await?;
        *child = Some(started);
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.ready_ms_max.fetch_max(took_ms, Ordering::Relaxed);
        Ok(())
    }

    /// As a supervisor does: until it stays, for as long as a start may take. That it does not come up
    /// at once on a full disk is counted, not judged.
    pub(crate) async fn start_again(&self) -> Result<(), Problem> {
        let deadline = Instant::now() + START_MAX;
        loop {
            match self.start().await {
                Err(_) if Instant::now() < deadline => {
                    self.failed_starts.fetch_add(1, Ordering::Relaxed);
                    sleep(Duration::from_millis(200)).await;
                }
                started => return started,
            }
        }
    }

    async fn ready(&self, child: &mut Child, began: Instant) -> Result<(), Problem> {
        let mut http = Http::new(&self.address, KEY, &self.tasks);
        loop {
            if let Ok(answer) = http.call(Method::GET, "/health/ready", Vec::new()).await
                && answer.status == 200
            {
                return Ok(());
            }
            if let Some(status) = child.try_wait()? {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                let end: Vec<&str> = log.lines().rev().take(8).collect();
                let end: Vec<&str> = end.into_iter().rev().collect();
                return Err(format!("the server ended ({status}):\n{}", end.join("\n")).into());
            }
            if began.elapsed() > START_MAX {
                return Err("the server does not get ready".into());
            }
            sleep(LOOK).await;
        }
    }

    /// SIGKILL: it gets no chance to say or write anything.
    pub(crate) async fn kill(&self) -> Result<(), Problem> {
        match &mut *self.child.lock().await {
            Some(child) => Ok(child.kill().await?),
            None => Ok(()),
        }
    }

    /// None while it is killed.
    pub(crate) fn pid(&self) -> Option<u32> {
        Some(self.pid.load(Ordering::Relaxed)).filter(|pid| *pid > 0)
    }

    /// Whether it ended by itself, which it must not.
    pub(crate) async fn has_ended(&self) -> bool {
        let mut child = self.child.lock().await;
        child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// Seconds of a core that a process has used so far.
    pub(crate) fn cpu_seconds(pid: u32) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Behind the name, which may have anything in it; user and system time in hundredths.
        let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: f64 =
            fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
        ticks / 100.0
    }

    /// The most memory it had, in KiB.
    pub(crate) fn rss_kib_max(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    /// The memory it has, in KiB.
    pub(crate) fn rss_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    fn status_kib(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.pid.load(Ordering::Relaxed));
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or_default()
    }
}
