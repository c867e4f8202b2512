//! What a pair promises, and the same against a model that knows only counts.

use proptest::prelude::*;

use super::*;

const LIMITS: Limits =
    Limits { ack_timeout: Duration::from_secs(30), repeats_max: 3, failures_max: 5 };
const WAIT: Duration = Duration::from_secs(2);
const NACK: Event = Event::Nacked { wait: WAIT };
const TICK: Event = Event::Tick { wait: WAIT };
const FAIL: Event = Event::Failed { wait: WAIT };

/// A pair and its clock.
struct Story {
    pair: Pair,
    now: Instant,
}

impl Story {
    fn new() -> Self {
        Self { pair: Pair::new(Spent::default()), now: Instant::now() }
    }

    fn on(&mut self, event: Event) -> Next {
        self.pair.on(event, self.now, &LIMITS)
    }

    fn written(mut self) -> Self {
        self.on(Event::Queued);
        assert_eq!(self.on(Event::Written), Next::Watch);
        self
    }

    fn after(&mut self, time: Duration) -> Next {
        self.now += time;
        self.on(TICK)
    }

    /// Lets the repeat come due and be written.
    fn repeated(&mut self) {
        assert_eq!(self.after(WAIT), Next::Send);
        self.on(Event::Queued);
        assert_eq!(self.on(Event::Written), Next::Watch);
    }
}

#[test]
fn the_answer_time_starts_when_the_frame_is_written_and_not_before() {
    let mut story = Story::new();
    story.on(Event::Queued);
    assert_eq!(story.after(Duration::from_secs(3_600)), Next::Ignore);
    assert_eq!(story.on(Event::Written), Next::Watch);
    assert_eq!(story.after(Duration::from_secs(29)), Next::Ignore);
    assert_eq!(story.after(Duration::from_secs(1)), Next::Watch);
    assert_eq!(story.pair.state(), State::Waiting(Why::TimedOut));
}

#[test]
fn a_silent_client_gets_it_four_times_and_then_it_is_dead() {
    let mut story = Story::new().written();
    for _ in 0..3 {
        assert_eq!(story.after(LIMITS.ack_timeout), Next::Watch);
        story.repeated();
    }
    assert_eq!(story.after(LIMITS.ack_timeout), Next::Bury(Death::TimedOut));
    assert_eq!(story.pair.attempts(), 4);
}

#[test]
fn the_last_refusal_is_what_it_died_of() {
    let mut story = Story::new().written();
    story.after(LIMITS.ack_timeout);
    for _ in 0..2 {
        story.repeated();
        assert_eq!(story.on(NACK), Next::Watch);
    }
    story.repeated();
    assert_eq!(story.on(NACK), Next::Bury(Death::Nacked));
}

#[test]
fn failures_before_a_write_and_repeats_after_it_have_budgets_of_their_own() {
    let mut story = Story::new();
    for _ in 0..4 {
        assert_eq!(story.on(FAIL), Next::Watch);
        assert_eq!(story.after(WAIT), Next::Send);
    }
    let mut story = story.written();
    for _ in 0..3 {
        assert_eq!(story.on(NACK), Next::Watch);
        story.repeated();
    }
    assert_eq!(story.pair.attempts(), 4, "not four times four");
    assert_eq!(story.on(NACK), Next::Bury(Death::Nacked));
}

#[test]
fn what_can_never_be_written_dies_after_five_tries() {
    let mut story = Story::new();
    for _ in 0..4 {
        story.on(FAIL);
        story.after(WAIT);
    }
    assert_eq!(story.on(FAIL), Next::Bury(Death::Failed));
}

#[test]
fn a_lost_connection_spends_nothing() {
    let mut story = Story::new();
    for _ in 0..1_000 {
        story = story.written();
        assert_eq!(story.on(Event::Held), Next::Send);
    }
    assert_eq!(story.pair.repeats(), 0);
    assert_eq!(story.pair.deadline(), None, "no timer runs while the subscriber is away");
    assert_eq!(story.after(Duration::from_secs(86_400)), Next::Ignore);
}

#[test]
fn a_late_ack_settles_what_waits_what_is_queued_again_and_what_is_dead() {
    let ack = Next::Settle(Settled::Acknowledged);
    let mut waiting = Story::new().written();
    waiting.after(LIMITS.ack_timeout);
    assert_eq!(waiting.on(Event::Acked), ack);
    assert_eq!(waiting.after(WAIT), Next::Ignore, "its repeat is off");

    let mut queued = Story::new().written();
    queued.on(NACK);
    queued.after(WAIT);
    queued.on(Event::Queued);
    assert_eq!(queued.on(Event::Acked), ack);
    assert_eq!(queued.on(Event::Written), Next::Ignore);

    let mut dead = Story::new().written();
    dead.on(Event::GivenUp);
    assert_eq!(dead.on(NACK), Next::Ignore);
    assert_eq!(dead.on(Event::Acked), ack);
}

#[test]
fn who_is_still_working_gets_the_whole_time_again() {
    let mut story = Story::new().written();
    for _ in 0..10 {
        assert_eq!(story.after(Duration::from_secs(29)), Next::Ignore);
        assert_eq!(story.on(Event::StillWorking), Next::Watch);
    }
    assert_eq!(story.pair.attempts(), 1);
    story.after(LIMITS.ack_timeout);
    assert_eq!(story.on(Event::StillWorking), Next::Watch);
    assert_eq!(story.after(WAIT), Next::Ignore, "said in time to stop the repeat");
}

#[test]
fn a_resumption_restarts_the_time_and_sends_nothing() {
    let mut story = Story::new().written();
    story.now += Duration::from_secs(29);
    assert_eq!(story.on(Event::Resumed), Next::Watch);
    assert_eq!(story.after(Duration::from_secs(29)), Next::Ignore);
    assert_eq!(story.pair.attempts(), 1);
}

#[test]
fn a_refusal_after_the_timeout_moves_the_repeat_and_costs_nothing_more() {
    let mut story = Story::new().written();
    story.after(LIMITS.ack_timeout);
    let wait = Duration::from_secs(60);
    assert_eq!(story.on(Event::Nacked { wait }), Next::Watch);
    assert_eq!(story.pair.repeats(), 1);
    assert_eq!(story.after(Duration::from_secs(59)), Next::Ignore);
    assert_eq!(story.after(Duration::from_secs(1)), Next::Send);
}

#[test]
fn what_was_written_to_a_client_that_never_answers_is_settled_as_unconfirmed() {
    let mut story = Story::new().written();
    assert_eq!(story.on(Event::Unconfirmed), Next::Settle(Settled::Unconfirmed));
}

#[test]
fn a_pair_stays_small() {
    assert!(size_of::<Pair>() <= 32, "{}", size_of::<Pair>());
}

/// The model: what a pair must do, told from counts alone.
#[derive(Debug, Default)]
struct Model {
    writes: u16,
    answers_bad: u8,
    failures: u8,
    out: Out,
    over: bool,
}

#[derive(Debug, Default, PartialEq)]
enum Out {
    #[default]
    No,
    Copy,
    Unanswered(Duration),
    Pause(Duration, bool),
}

impl Model {
    fn bad_answer(&mut self, wait: Duration, nacked: bool) {
        self.answers_bad += 1;
        self.out = Out::Pause(wait, !nacked);
        self.over = self.answers_bad > LIMITS.repeats_max;
    }

    fn play(&mut self, event: Event, passed: Duration) {
        if self.over {
            return;
        }
        match &mut self.out {
            Out::Unanswered(left) | Out::Pause(left, _) => *left = left.saturating_sub(passed),
            Out::No | Out::Copy => {}
        }
        match (event, &self.out) {
            (Event::Acked | Event::GivenUp | Event::Expired, _) => self.over = true,
            (Event::Unconfirmed, _) => self.over = self.writes > 0,
            (Event::Queued, Out::No | Out::Pause(..)) => self.out = Out::Copy,
            (Event::Written, Out::Copy) => {
                self.writes += 1;
                self.out = Out::Unanswered(LIMITS.ack_timeout);
            }
            (Event::Written | Event::Resumed, Out::Unanswered(_))
            | (Event::StillWorking, Out::Unanswered(_) | Out::Pause(_, true)) => {
                self.out = Out::Unanswered(LIMITS.ack_timeout);
            }
            (Event::Held, _) => self.out = Out::No,
            (Event::Nacked { wait }, Out::Unanswered(_)) => self.bad_answer(wait, true),
            (Event::Nacked { wait }, Out::Pause(_, true)) => self.out = Out::Pause(wait, false),
            (Event::Tick { wait }, Out::Unanswered(Duration::ZERO)) => self.bad_answer(wait, false),
            (Event::Tick { .. }, Out::Pause(Duration::ZERO, _)) => self.out = Out::No,
            (Event::Failed { wait }, Out::No | Out::Copy | Out::Pause(..)) => {
                self.failures += 1;
                self.out = Out::Pause(wait, false);
                self.over = self.failures >= LIMITS.failures_max;
            }
            _ => {}
        }
    }
}

fn events() -> impl Strategy<Value = (Event, Duration)> {
    let wait = (0_u64..40).prop_map(Duration::from_secs);
    let event = prop_oneof![
        4 => Just(Event::Queued),
        4 => Just(Event::Written),
        2 => Just(Event::Held),
        1 => Just(Event::Resumed),
        1 => wait.clone().prop_map(|wait| Event::Failed { wait }),
        1 => Just(Event::Acked),
        1 => Just(Event::Unconfirmed),
        3 => wait.clone().prop_map(|wait| Event::Nacked { wait }),
        1 => Just(Event::StillWorking),
        4 => wait.clone().prop_map(|wait| Event::Tick { wait }),
    ];
    (event, wait)
}

proptest! {
    #[test]
    fn any_order_of_events_does_what_the_model_says(
        story in proptest::collection::vec(events(), 1..60),
    ) {
        let mut pair = Pair::new(Spent::default());
        let mut model = Model::default();
        let mut now = Instant::now();
        let mut ends = 0;
        for (event, passed) in story {
            now += passed;
            let next = pair.on(event, now, &LIMITS);
            model.play(event, passed);
            let over = matches!(
                pair.state(), State::Settled(_) | State::Dead(_) | State::Expired
            );
            // A late ack may bring a dead pair to its end once more, and nothing else may.
            let ended = matches!(next, Next::Settle(_) | Next::Bury(_) | Next::Expire);
            ends += usize::from(ended);
            prop_assert!(!ended || ends <= 1 || next == Next::Settle(Settled::Acknowledged));
            prop_assert_eq!(over, model.over, "{:?} after {:?}", pair, event);
            prop_assert_eq!(pair.attempts(), model.writes);
            if !over {
                let copy_is_out = pair.state() == State::Queued;
                prop_assert_eq!(copy_is_out, model.out == Out::Copy);
                let timed = matches!(model.out, Out::Unanswered(_) | Out::Pause(..));
                prop_assert_eq!(pair.deadline().is_some(), timed);
            }
            // At most one write per repeat, loss and try: never attempts times failures.
            prop_assert!(pair.repeats() <= LIMITS.repeats_max);
        }
    }
}
