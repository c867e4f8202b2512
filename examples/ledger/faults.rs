//! Carrying out the plan of faults, and healing everything at its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::TaskTracker;

use crate::Problem;
use crate::disk::Disk;
use crate::plan::{Fault, Planned};
use crate::proxy::Proxy;
use crate::random::Random;
use crate::server::Server;
use crate::subscribers::Crowd;

/// How often each fault happened to something.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) cuts: AtomicU64,
    pub(crate) stalls: AtomicU64,
    pub(crate) client_kills: AtomicU64,
    pub(crate) restarts: AtomicU64,
    pub(crate) full_stores: AtomicU64,
    pub(crate) full_disks: AtomicU64,
    pub(crate) dup_acks: AtomicU64,
}

/// The same, for the report.
#[derive(Serialize)]
pub(crate) struct Counted {
    restarts: u64,
    cuts: u64,
    stalls: u64,
    client_kills: u64,
    full_stores: u64,
    full_disks: u64,
    dup_acks: u64,
}

pub(crate) struct Saboteur {
    pub(crate) server: Arc<Server>,
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) crowd: Arc<Crowd>,
    pub(crate) disk: Option<Arc<Disk>>,
    pub(crate) random: Random,
    pub(crate) tasks: TaskTracker,
    pub(crate) counts: Counts,
}

impl Saboteur {
    /// Everything that is planned, each at its time; then all is well again.
    pub(crate) async fn run(&mut self, planned: &[Planned]) -> Result<(), Problem> {
        let start = Instant::now();
        for one in planned {
            sleep_until(start + one.at).await;
            if self.server.has_ended().await {
                self.crowd.records.odd("the server ended by itself".into());
                self.server.start_again().await?;
            }
            self.crowd.records.journal.note(|| format!("FAULT {:?}", one.fault));
            self.carry_out(one.fault).await?;
        }
        // The longest of those that go on beside.
        sleep(Duration::from_secs(4)).await;
        self.proxy.heal();
        Ok(())
    }

    async fn carry_out(&mut self, fault: Fault) -> Result<(), Problem> {
        match fault {
            Fault::Cut => {
                let links = self.proxy.links();
                for place in self.random.some_of(links.len(), 5) {
                    links[place].cut();
                    count(&self.counts.cuts);
                }
            }
            Fault::Stall(length) => self.stall(5, length, |counts| &counts.stalls),
            Fault::FullStore(length) => {
                count(&self.counts.full_stores);
                self.stall(1, length, |counts| &counts.stalls);
            }
            Fault::KillClient(away) => {
                for place in self.random.some_of(self.crowd.len(), 8) {
                    let subscriber = u32::try_from(place)?;
                    self.crowd.kill(subscriber);
                    count(&self.counts.client_kills);
                    let crowd = self.crowd.clone();
                    self.tasks.spawn(async move {
                        sleep(away).await;
                        crowd.start(subscriber);
                    });
                }
            }
            Fault::KillServer(down) => {
                self.server.kill().await?;
                sleep(down).await;
                self.server.start_again().await?;
                count(&self.counts.restarts);
            }
            Fault::FullDisk(length) => {
                let Some(disk) = self.disk.clone() else { return Ok(()) };
                count(&self.counts.full_disks);
                disk.fill(self.server.pid())?;
                let server = self.server.clone();
                let records = self.crowd.records.clone();
                // Beside, so that everything else goes wrong on a full disk, too.
                self.tasks.spawn(async move {
                    sleep(length).await;
                    if let Err(problem) = disk.clear(server.pid()) {
                        records.odd(format!("the disk stays full: {problem}"));
                    }
                });
            }
            Fault::DupAck => {
                for place in self.random.some_of(self.crowd.len(), 4) {
                    self.crowd.ack_again(u32::try_from(place)?, &mut self.random).await;
                    count(&self.counts.dup_acks);
                }
            }
        }
        Ok(())
    }

    fn stall(&mut self, one_in: u64, length: Duration, of: fn(&Counts) -> &AtomicU64) {
        let links = self.proxy.links();
        for place in self.random.some_of(links.len(), one_in) {
            let link = links[place].clone();
            link.stall(true);
            count(of(&self.counts));
            self.tasks.spawn(async move {
                sleep(length).await;
                link.stall(false);
            });
        }
    }

    pub(crate) fn counted(&self) -> Counted {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counts { cuts, stalls, client_kills, restarts, full_stores, full_disks, dup_acks } =
            &self.counts;
        Counted {
            restarts: of(restarts),
            cuts: of(cuts),
            stalls: of(stalls),
            client_kills: of(client_kills),
            full_stores: of(full_stores),
            full_disks: of(full_disks),
            dup_acks: of(dup_acks),
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
