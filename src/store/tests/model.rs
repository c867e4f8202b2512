//! Any story, with any cut in it, against a model that knows only what was reported.
//!
//! One subscriber with a session, messages of many sizes, files small enough to be cleaned often.
//! What a completed call has reported must be found after each cut; what a failed or an unheard
//! call has asked for may be there or not, and then stays as it was found.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::disk::SimulatedDisk;
use super::world::{World, content, message, small};
use crate::model::{Audience, MessageId};
use crate::store::{
    Acceptance, Config, DeadFilter, NewMessage, Outcome, PairStatus, Reason, Settle, Target, Which,
};

#[derive(Clone, Debug)]
enum Step {
    Publish {
        kib: usize,
    },
    PublishAgain(usize),
    Settle(usize, Outcome),
    /// Acknowledge, and do not wait.
    Mumble(usize),
    Requeue,
    Purge,
    Join(u8),
    Restart,
    Cut(u64),
    /// The disk dies after so many operations; the cut comes before the next step.
    DieSoon(u64, u64),
    Full(bool),
    FailSync,
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        4 => Just(Outcome::Acknowledged),
        1 => Just(Outcome::Unconfirmed),
        1 => Just(Outcome::Expired),
        3 => Just(Outcome::Dead(Reason::Nacked)),
    ];
    prop_oneof![
        10 => (0..200_usize).prop_map(|kib| Step::Publish { kib }),
        1 => (0..9_usize).prop_map(Step::PublishAgain),
        10 => (0..50_usize, outcome).prop_map(|(which, outcome)| Step::Settle(which, outcome)),
        3 => (0..50_usize).prop_map(Step::Mumble),
        1 => Just(Step::Requeue),
        1 => Just(Step::Purge),
        1 => any::<u8>().prop_map(Step::Join),
        1 => Just(Step::Restart),
        2 => any::<u64>().prop_map(Step::Cut),
        2 => (0..12_u64, any::<u64>()).prop_map(|(after, seed)| Step::DieSoon(after, seed)),
        1 => any::<bool>().prop_map(Step::Full),
        1 => Just(Step::FailSync),
    ]
}

/// Where the pair of a message may be; none: it may not be there at all.
type Possible = Vec<Option<PairStatus>>;

struct Story {
    world: World,
    messages: BTreeMap<String, (usize, Possible)>,
    groups: Vec<String>,
    next: usize,
    dying: Option<u64>,
}

impl Story {
    fn begin() -> Self {
        let config = Config { inline_bytes_max: 1_024, segment_mib: 1, ..small() };
        let world = World::on(SimulatedDisk::default(), config);
        world.session("u", "tab", "c1");
        Self { world, messages: BTreeMap::new(), groups: Vec::new(), next: 0, dying: None }
    }

    fn subscriber(&self) -> crate::store::SubscriberId {
        self.world.subscriber_of_first_session()
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Publish { kib } => {
                let id = format!("m{:04}", self.next);
                self.next += 1;
                self.publish(&id, kib);
            }
            Step::PublishAgain(back) => {
                let entry = self.messages.iter().rev().nth(back);
                if let Some((id, (kib, _))) = entry.map(|(id, found)| (id.clone(), found.clone())) {
                    self.publish(&id, kib);
                }
            }
            Step::Settle(which, outcome) => self.settle(which, outcome, true),
            Step::Mumble(which) => self.settle(which, Outcome::Acknowledged, false),
            Step::Requeue => {
                let (filter, now) = (DeadFilter::default(), self.world.now);
                let asked = self.world.store.requeue(filter, Target::SameSubscriber, 99, now);
                let heard = self.world.try_wait(asked).is_ok();
                self.turn_all(PairStatus::Dead, PairStatus::Owed, heard);
            }
            Step::Purge => {
                let asked = self.world.store.purge(DeadFilter::default(), 99, self.world.now);
                let heard = self.world.try_wait(asked).is_ok();
                self.turn_all(PairStatus::Dead, PairStatus::Purged, heard);
            }
            Step::Join(name) => {
                let name = format!("g{name}");
                let (subscriber, now) = (self.subscriber(), self.world.now);
                let asked = self.world.store.join(subscriber, name.as_str().into(), now);
                if self.world.try_wait(asked).is_ok() {
                    self.groups.push(name);
                }
            }
            Step::Restart => {
                self.dying = None;
                self.world.restart();
                self.look();
            }
            Step::Cut(seed) => self.cut(seed),
            Step::DieSoon(after, seed) => {
                self.world.disk().die_after(after);
                self.dying = Some(seed);
            }
            Step::Full(full) => self.world.disk().set_room(full.then_some(50_000)),
            Step::FailSync => self.world.disk().fail_syncs(1),
        }
    }

    fn publish(&mut self, id: &str, kib: usize) {
        let text = format!("[\"{id}{}\"]", "x".repeat(kib * 1_024));
        let new = NewMessage { content: content(&text), ..message(id, Audience::all()) };
        let asked = self.world.store.accept(new, self.world.now);
        let possible = &mut self.messages.entry(id.to_owned()).or_insert((kib, vec![None])).1;
        match self.world.try_wait(asked) {
            Ok(Acceptance::Accepted(_)) => *possible = vec![Some(PairStatus::Owed)],
            Ok(Acceptance::Duplicate { .. }) => possible.retain(Option::is_some),
            Ok(Acceptance::Refused(refusal)) => panic!("{refusal}"),
            Err(_) if possible.contains(&None) => possible.push(Some(PairStatus::Owed)),
            Err(_) => {}
        }
        assert!(!possible.is_empty(), "{id} is a duplicate of nothing");
    }

    fn settle(&mut self, which: usize, outcome: Outcome, waits: bool) {
        let count = self.messages.len().max(1);
        let Some(id) = self.messages.keys().nth(which % count).cloned() else { return };
        let message = Which::Id(MessageId::from(id.as_str()));
        let settle = Settle { subscriber: self.subscriber(), message, outcome };
        let asked = self.world.store.settle(vec![settle], self.world.now);
        let heard = waits && self.world.try_wait(asked).is_ok();
        let (to, from): (_, &[PairStatus]) = match outcome {
            Outcome::Acknowledged => {
                (PairStatus::Acknowledged, &[PairStatus::Owed, PairStatus::Dead])
            }
            Outcome::Unconfirmed => {
                (PairStatus::Unconfirmed, &[PairStatus::Owed, PairStatus::Dead])
            }
            Outcome::Expired => (PairStatus::Expired, &[PairStatus::Owed]),
            Outcome::Dead(_) => (PairStatus::Dead, &[PairStatus::Owed]),
        };
        for from in from {
            self.turn(&id, *from, to, heard);
        }
    }

    /// A message whose acceptance failed may not be there, and come back with a cut: what was heard
    /// says nothing about it.
    fn turn(&mut self, id: &str, from: PairStatus, to: PairStatus, heard: bool) {
        let possible = &mut self.messages.get_mut(id).unwrap().1;
        if possible.contains(&Some(from)) {
            possible.push(Some(to));
            if heard && !possible.contains(&None) {
                possible.retain(|status| *status != Some(from));
            }
        }
    }

    fn turn_all(&mut self, from: PairStatus, to: PairStatus, heard: bool) {
        for id in self.messages.keys().cloned().collect::<Vec<_>>() {
            self.turn(&id, from, to, heard);
        }
    }

    fn cut(&mut self, seed: u64) {
        self.dying = None;
        self.world.cut(seed);
        self.look();
    }

    /// Everything is where it may be, and stays where it is.
    fn look(&mut self) {
        assert!(self.world.store.health().damage.is_none(), "{:?}", self.world.store.health());
        self.world.stats();
        let back = self.world.open("u", Some("tab"), "c1");
        assert!(!back.is_new, "the session was durable");
        for group in &self.groups {
            assert!(back.groups.contains(&group.as_str().into()), "{group} was joined");
        }
        self.groups = back.groups.iter().map(ToString::to_string).collect();
        for (id, (_, possible)) in &mut self.messages {
            let found = self.world.status(back.subscriber, id);
            assert!(possible.contains(&found), "{id} is {found:?}, not one of {possible:?}");
            *possible = vec![found];
        }
        let owed = self.world.owed(back.subscriber);
        let ids: Vec<&str> = owed.iter().map(|owed| owed.id.as_str()).collect();
        let expected =
            self.messages.iter().filter(|(_, (_, possible))| *possible == [Some(PairStatus::Owed)]);
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, expected.map(|(id, _)| id.as_str()).collect::<Vec<_>>());
        assert!(owed.is_sorted_by_key(|owed| owed.seq));
        for owed in owed {
            let (kib, _) = self.messages[owed.id.as_str()];
            let text = format!("[\"{}{}\"]", owed.id, "x".repeat(kib * 1_024));
            assert!(owed.content.arguments == text, "the content of {} changed", owed.id);
        }
        for whole in self.world.whole_letters() {
            assert_eq!(whole.content.target, whole.letter.target);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_reported_is_there_after_any_cut(
        steps in prop::collection::vec(step(), 1..80),
        seed in any::<u64>(),
    ) {
        let mut story = Story::begin();
        for step in steps {
            story.play(step);
            if let Some(seed) = story.dying && story.next.is_multiple_of(3) {
                story.cut(seed);
            }
        }
        story.cut(seed);
        prop_assert!(story.world.disk().bytes() < 64 * 1_048_576, "old files go");
    }
}
