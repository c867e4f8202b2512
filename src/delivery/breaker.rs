//! A circuit breaker for one destination.
//!
//! ```text
//!            failures in a row, or too large a share of the window
//!   Closed ───────────────────────────────────────────────▶ Open
//!     ▲                                                      │ its time is over
//!     │ the probe succeeds                                   ▼
//!     └────────────────────────────────────────────────── HalfOpen
//!                                  the probe fails ──▶ Open, from the beginning
//! ```
//!
//! Pure: it is told what happened and when, and says whether the destination may be tried. An
//! operator can hold it open or closed; it goes on counting meanwhile.

use std::time::Duration;

use tokio::time::Instant;

/// When a breaker opens and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerLimits {
    /// Failures in a row that open it.
    pub(super) failures_max: u32,
    /// Share of failures within the window that opens it, 0 to 1.
    pub(super) failure_ratio_max: f64,
    /// Outcomes in the window below which the share says nothing.
    pub(super) outcomes_min: u32,
    /// What the window covers. Outcomes are forgotten in two halves of it.
    pub(super) window: Duration,
    /// How long it stays open before it lets a probe through.
    pub(super) open_time: Duration,
}

impl Default for BreakerLimits {
    fn default() -> Self {
        Self {
            failures_max: 5,
            failure_ratio_max: 0.5,
            outcomes_min: 20,
            window: Duration::from_secs(60),
            open_time: Duration::from_secs(30),
        }
    }
}

/// What a breaker shows, numbered as Conduit numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BreakerState {
    /// Everything passes.
    Closed = 0,
    /// Nothing passes.
    Open = 1,
    /// One probe passes.
    HalfOpen = 2,
    /// An operator holds it open.
    Isolated = 3,
}

/// Whether the destination may be tried now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// As much as there is.
    Free,
    /// One thing, whose outcome decides.
    Probe,
    /// Nothing before this moment; none when only an operator or an outcome can change it.
    Wait(Option<Instant>),
}

/// What an operator wants of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Force {
    /// To work by itself.
    #[default]
    Auto,
    /// To let nothing pass.
    Open,
    /// To let everything pass.
    Closed,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    Open { until: Instant },
    HalfOpen { probing: bool },
}

/// One destination's breaker.
#[derive(Clone, Debug)]
pub struct Breaker {
    state: State,
    force: Force,
    in_a_row: u32,
    /// The half of the window that is being filled, and the one before it.
    halves: [Half; 2],
    half_began: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Half {
    failures: u32,
    outcomes: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::closed()
    }
}

impl Breaker {
    /// One that has seen nothing yet.
    pub const fn closed() -> Self {
        const NONE: Half = Half { failures: 0, outcomes: 0 };
        Self {
            state: State::Closed,
            force: Force::Auto,
            in_a_row: 0,
            halves: [NONE; 2],
            half_began: None,
        }
    }

    /// Whether a new one would do as well: it is closed and remembers no failure.
    pub fn is_spotless(&self) -> bool {
        matches!(self.state, State::Closed)
            && self.force == Force::Auto
            && self.in_a_row == 0
            && self.halves.iter().all(|half| half.failures == 0)
    }

    /// Whether an operator has it in hand.
    pub fn is_forced(&self) -> bool {
        self.force != Force::Auto
    }

    /// Asks for a try. A probe is given once; its outcome must be told, or [`Breaker::unused`].
    pub fn permit(&mut self, now: Instant) -> Permit {
        match self.force {
            Force::Open => return Permit::Wait(None),
            Force::Closed => return Permit::Free,
            Force::Auto => {}
        }
        match self.state {
            State::Closed => Permit::Free,
            State::Open { until } if until > now => Permit::Wait(Some(until)),
            State::HalfOpen { probing: true } => Permit::Wait(None),
            State::Open { .. } | State::HalfOpen { probing: false } => {
                self.state = State::HalfOpen { probing: true };
                Permit::Probe
            }
        }
    }

    /// The probe was not made, or its outcome will never be known: the next one may be.
    pub fn unused(&mut self) {
        if let State::HalfOpen { probing } = &mut self.state {
            *probing = false;
        }
    }

    /// The destination did what was asked of it.
    pub fn succeeded(&mut self, now: Instant, limits: &BreakerLimits) {
        self.in_a_row = 0;
        self.count(now, limits, false);
        if let State::HalfOpen { .. } = self.state {
            self.close();
        }
    }

    /// It did not. True when this opened the breaker.
    pub fn failed(&mut self, now: Instant, limits: &BreakerLimits) -> bool {
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.count(now, limits, true);
        let opens = match self.state {
            State::Open { .. } => false,
            State::HalfOpen { .. } => true,
            State::Closed => self.in_a_row >= limits.failures_max || self.is_over_ratio(limits),
        };
        if opens {
            self.state = State::Open { until: now + limits.open_time };
        }
        opens && self.force == Force::Auto
    }

    /// An operator takes it in hand or lets go of it.
    pub fn force(&mut self, force: Force) {
        if self.force != Force::Auto && force == Force::Auto {
            self.close();
        }
        self.force = force;
    }

    /// Whether nothing passes but a probe.
    pub fn holds(&self) -> bool {
        match self.force {
            Force::Open => true,
            Force::Closed => false,
            Force::Auto => !matches!(self.state, State::Closed),
        }
    }

    /// What it shows.
    pub fn state(&self) -> BreakerState {
        match (self.force, self.state) {
            (Force::Open, _) => BreakerState::Isolated,
            (Force::Closed, _) | (Force::Auto, State::Closed) => BreakerState::Closed,
            (Force::Auto, State::Open { .. }) => BreakerState::Open,
            (Force::Auto, State::HalfOpen { .. }) => BreakerState::HalfOpen,
        }
    }

    /// Failures since the last success.
    pub fn failures_in_a_row(&self) -> u32 {
        self.in_a_row
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.in_a_row = 0;
        // What opened it must not open it again.
        self.halves = [Half::default(); 2];
    }

    fn count(&mut self, now: Instant, limits: &BreakerLimits, failed: bool) {
        let half = limits.window / 2;
        let age = self.half_began.map_or(limits.window, |began| now.duration_since(began));
        if age >= half {
            let before = if age < limits.window { self.halves[0] } else { Half::default() };
            self.halves = [Half::default(), before];
            self.half_began = Some(now);
        }
        self.halves[0].outcomes += 1;
        self.halves[0].failures += u32::from(failed);
    }

    fn is_over_ratio(&self, limits: &BreakerLimits) -> bool {
        let [new, old] = self.halves;
        let (failures, outcomes) = (new.failures + old.failures, new.outcomes + old.outcomes);
        outcomes >= limits.outcomes_min
            && f64::from(failures) >= limits.failure_ratio_max * f64::from(outcomes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> BreakerLimits {
        BreakerLimits::default()
    }

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        let opened: Vec<bool> = (0..5).map(|_| breaker.failed(now, &limits())).collect();
        assert_eq!(opened, [false, false, false, false, true], "told once, when it opens");
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn five_failures_in_a_row_open_it_and_a_success_between_them_does_not() {
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            breaker.failed(Instant::now(), &limits());
        }
        breaker.succeeded(Instant::now(), &limits());
        breaker.failed(Instant::now(), &limits());
        assert_eq!(breaker.state(), BreakerState::Closed);
        let breaker = opened(Instant::now());
        assert_eq!(breaker.state(), BreakerState::Open);
        assert_eq!(breaker.failures_in_a_row(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_the_window_failing_opens_it() {
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            assert!(!breaker.failed(Instant::now(), &limits()));
            breaker.succeeded(Instant::now(), &limits());
        }
        assert!(breaker.failed(Instant::now(), &limits()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_older_than_the_window_does_not_count() {
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            breaker.failed(Instant::now(), &limits());
            breaker.succeeded(Instant::now(), &limits());
        }
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(!breaker.failed(Instant::now(), &limits()));
    }

    #[tokio::test(start_paused = true)]
    async fn after_its_time_one_probe_passes_and_its_success_closes_it() {
        let mut breaker = opened(Instant::now());
        let until = Instant::now() + Duration::from_secs(30);
        assert_eq!(breaker.permit(Instant::now()), Permit::Wait(Some(until)));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(breaker.permit(Instant::now()), Permit::Probe);
        assert_eq!(breaker.permit(Instant::now()), Permit::Wait(None), "a single one");
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        breaker.succeeded(Instant::now(), &limits());
        assert_eq!(breaker.permit(Instant::now()), Permit::Free);
        assert!(!breaker.failed(Instant::now(), &limits()), "it starts afresh");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_probe_opens_it_again_for_its_whole_time() {
        let mut breaker = opened(Instant::now());
        tokio::time::advance(Duration::from_secs(30)).await;
        breaker.permit(Instant::now());
        assert!(breaker.failed(Instant::now(), &limits()));
        tokio::time::advance(Duration::from_secs(29)).await;
        assert!(matches!(breaker.permit(Instant::now()), Permit::Wait(Some(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_was_never_made_does_not_block_the_next() {
        let mut breaker = opened(Instant::now());
        tokio::time::advance(Duration::from_secs(30)).await;
        breaker.permit(Instant::now());
        breaker.unused();
        assert_eq!(breaker.permit(Instant::now()), Permit::Probe);
    }

    #[tokio::test(start_paused = true)]
    async fn an_operator_holds_it_open_or_closed_until_letting_go() {
        let mut breaker = Breaker::default();
        breaker.force(Force::Open);
        assert_eq!(breaker.permit(Instant::now()), Permit::Wait(None));
        assert_eq!(breaker.state(), BreakerState::Isolated);
        breaker.force(Force::Closed);
        for _ in 0..9 {
            assert!(!breaker.failed(Instant::now(), &limits()));
        }
        assert_eq!(breaker.permit(Instant::now()), Permit::Free);
        breaker.force(Force::Auto);
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert!(!breaker.holds());
    }
}
