//! What damage has cost is kept in a file of its own until somebody has seen it: a restart is no
//! reason to forget it.
//!
//! The file is written before a damaged file is set aside, because afterwards nothing else tells.

use std::io;

use serde::{Deserialize, Serialize};

use crate::store::disk::Disk;
use crate::store::health::Damage;
use crate::store::names::Moment;

const NAME: &str = "damage.json";
const DRAFT: &str = "damage.json.draft";
/// Files named as set aside: the newest. All of them are on the disk.
const NAMED_MAX: usize = 100;

/// As it stands in the file.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Noted {
    at: u64,
    records_saved: u64,
    records_lost: u64,
    bytes_unreadable: u64,
    set_aside: Vec<String>,
}

/// What was found before and nobody has seen yet. A note that does not read is damage as well.
pub(super) fn read(disk: &dyn Disk, now: Moment) -> io::Result<Option<Damage>> {
    if !disk.names()?.iter().any(|name| name == NAME) {
        return Ok(None);
    }
    let file = disk.open(NAME)?;
    let mut bytes = vec![0; usize::try_from(file.length()?).unwrap_or(usize::MAX)];
    file.read_at(&mut bytes, 0)?;
    Ok(Some(match serde_json::from_slice(&bytes) {
        Ok(Noted { at, records_saved, records_lost, bytes_unreadable, set_aside }) => Damage {
            at: Moment(at),
            saved: records_saved,
            lost: records_lost,
            bytes: bytes_unreadable,
            set_aside,
        },
        Err(error) => {
            tracing::error!(%error, "the note of an earlier damage does not read");
            Damage { bytes: bytes.len() as u64, ..Damage::none(now) }
        }
    }))
}

/// Keeps what was found, in the place of what was kept before.
pub(super) fn keep(disk: &dyn Disk, damage: &Damage) -> io::Result<()> {
    let first = damage.set_aside.len().saturating_sub(NAMED_MAX);
    let noted = Noted {
        at: damage.at.0,
        records_saved: damage.saved,
        records_lost: damage.lost,
        bytes_unreadable: damage.bytes,
        set_aside: damage.set_aside[first..].to_vec(),
    };
    let text = serde_json::to_vec(&noted)?;
    let file = disk.open(DRAFT)?;
    file.set_length(0)?;
    file.write_at(&text, 0)?;
    file.sync()?;
    disk.rename(DRAFT, NAME)?;
    disk.sync()
}

/// Somebody has seen it.
pub(in crate::store) fn forget(disk: &dyn Disk) -> io::Result<()> {
    match disk.remove(NAME) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => disk.sync(),
    }
}
