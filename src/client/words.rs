//! What is to be said about messages, collected until the socket takes it.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::ack_methods::{ACKNOWLEDGE, ACKNOWLEDGE_MANY, EXTEND, GIVE_UP, NACK, NACK_AFTER};
use super::message::{Refusal, Then};
use crate::protocol::{Arguments, Encoded, Protocol, encode};

/// Bytes of ids in one invocation: half of what a server takes by default (32 KiB).
const BATCH_BYTES_MAX: usize = 16 << 10;
/// An error is for people; a whole backtrace may not fit into a message.
const ERROR_CHARS_MAX: usize = 1_024;

/// One word about one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Handled(String),
    Refused(String, Refusal),
    StillWorking(String),
}

/// The words of one connection. Bounded: a word too many is not said, and the message comes again.
pub(super) struct Words {
    max: usize,
    /// How long the first word may wait for others.
    delay: Duration,
    state: Mutex<State>,
    said: Notify,
}

#[derive(Default)]
struct State {
    waiting: Vec<Word>,
    since: Option<Instant>,
}

impl Words {
    pub(super) fn new(max: usize, delay: Duration) -> Self {
        Self { max: max.max(1), delay, state: Mutex::default(), said: Notify::new() }
    }

    pub(super) fn say(&self, word: Word) {
        let mut state = self.state.lock();
        if state.waiting.len() >= self.max {
            tracing::debug!("too many acks wait; the server will send the message again");
            return;
        }
        state.waiting.push(word);
        if state.since.is_none() {
            state.since = Some(Instant::now());
            drop(state);
            self.said.notify_one();
        }
    }

    /// Waits for words and takes all there are. Loses none when dropped while it waits.
    pub(super) async fn due(&self) -> Vec<Word> {
        loop {
            let since = self.state.lock().since;
            let Some(since) = since else {
                self.said.notified().await;
                continue;
            };
            if !self.delay.is_zero() {
                sleep_until(since + self.delay).await;
            }
            return self.take();
        }
    }

    /// What waits now.
    pub(super) fn take(&self) -> Vec<Word> {
        let mut state = self.state.lock();
        state.since = None;
        std::mem::take(&mut state.waiting)
    }
}

/// The invocations that say it: acks together, in front of everything else.
pub(super) fn invocations(protocol: Protocol, words: Vec<Word>) -> Vec<Encoded> {
    let mut handled = Vec::new();
    let mut others = Vec::new();
    for word in words {
        match word {
            Word::Handled(id) => handled.push(id),
            Word::Refused(id, refusal) => {
                let error: String = refusal.error.chars().take(ERROR_CHARS_MAX).collect();
                others.push(match refusal.then {
                    Then::Again => call(protocol, NACK, &(id, error)),
                    Then::AgainAfter(wait) => {
                        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                        call(protocol, NACK_AFTER, &(id, error, wait_ms))
                    }
                    Then::Never => call(protocol, GIVE_UP, &(id, error)),
                });
            }
            Word::StillWorking(id) => others.push(call(protocol, EXTEND, &(id,))),
        }
    }
    let mut all = acknowledgements(protocol, handled);
    all.extend(others.into_iter().flatten());
    all
}

fn acknowledgements(protocol: Protocol, ids: Vec<String>) -> Vec<Encoded> {
    let mut all = Vec::new();
    let mut batch: Vec<String> = Vec::new();
    let mut bytes = 0;
    for id in ids {
        if bytes + id.len() > BATCH_BYTES_MAX {
            all.extend(acknowledgement(protocol, &mut batch));
            bytes = 0;
        }
        bytes += id.len() + 4;
        batch.push(id);
    }
    all.extend(acknowledgement(protocol, &mut batch));
    all
}

fn acknowledgement(protocol: Protocol, batch: &mut Vec<String>) -> Option<Encoded> {
    let ids = std::mem::take(batch);
    match &ids[..] {
        [] => None,
        [only] => call(protocol, ACKNOWLEDGE, &(only,)),
        _ => call(protocol, ACKNOWLEDGE_MANY, &(ids,)),
    }
}

/// None never happens: texts and numbers can always be written.
fn call(protocol: Protocol, target: &str, arguments: &dyn Arguments) -> Option<Encoded> {
    encode::client_invocation(protocol, false, None, target, arguments, &[]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: Vec<Word>) -> Vec<String> {
        let encoded = invocations(Protocol::Json, words);
        encoded.iter().map(|one| String::from_utf8_lossy(&one.payload()).into_owned()).collect()
    }

    #[test]
    fn acks_go_together_and_each_refusal_has_its_own_method() {
        let refused = |id: &str, refusal| Word::Refused(id.into(), refusal);
        let said = said(vec![
            Word::Handled("a".into()),
            refused("n", Refusal::again("busy")),
            Word::Handled("b".into()),
            refused("l", Refusal::again_after(Duration::from_secs(2), "later")),
            refused("g", Refusal::never("no such order")),
            Word::StillWorking("w".into()),
        ]);
        let expected = [
            (r#""AcknowledgeMessages""#, r#"[["a","b"]]"#),
            (r#""NackMessage""#, r#"["n","busy"]"#),
            (r#""NackMessageAfter""#, r#"["l","later",2000]"#),
            (r#""GiveUpMessage""#, r#"["g","no such order"]"#),
            (r#""ExtendMessage""#, r#"["w"]"#),
        ];
        assert_eq!(said.len(), expected.len());
        for (text, (target, arguments)) in said.iter().zip(expected) {
            assert!(text.contains(target) && text.contains(arguments), "{text}");
            assert!(!text.contains("invocationId"), "{text}");
        }
    }

    #[test]
    fn one_ack_is_the_stock_method_and_many_are_cut_below_what_a_server_takes() {
        assert!(said(vec![Word::Handled("a".into())])[0].contains(r#""AcknowledgeMessage""#));
        let many = (0..1_000).map(|n| Word::Handled(format!("{n:0>128}"))).collect();
        let said = said(many);
        assert!(said.len() > 7, "{}", said.len());
        assert!(said.iter().all(|text| text.len() < 32_768));
    }

    #[tokio::test(start_paused = true)]
    async fn words_wait_for_others_as_long_as_they_may_and_no_more_than_fit() {
        let words = Words::new(2, Duration::from_millis(50));
        let start = Instant::now();
        for id in ["a", "b", "c"] {
            words.say(Word::Handled(id.into()));
        }
        let due = words.due().await;
        assert_eq!(due, [Word::Handled("a".into()), Word::Handled("b".into())]);
        assert_eq!(start.elapsed(), Duration::from_millis(50));
        assert_eq!(words.take(), []);
    }
}
