//! How long to wait for an answer.

use std::time::Duration;

/// Wait before anything is known of the link.
const FIRST: Duration = Duration::from_secs(1);
/// Least time above the expected one: a device stores a window of chunks in less.
const SLACK: Duration = Duration::from_millis(200);
/// Longest wait.
const MOST: Duration = Duration::from_secs(120);
/// Doublings of the wait in silence. No more: silence on a radio is loss, not crowding.
const DOUBLINGS: u32 = 2;

/// How long exchanges take: smoothed time and mean deviation as in RFC 6298, but as a line over the bytes of the
/// exchange, since on a slow link an answer takes as long as the bytes before it. The line goes through the longest
/// kind of exchange that was seen, and a short one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    /// Bytes and time of a short exchange.
    short: Option<(usize, Duration)>,
    /// Bytes, time and deviation of a long one.
    long: Option<(usize, Duration, Duration)>,
    doublings: u32,
}

impl Clock {
    /// How long to wait after `bytes` have been sent. `act`: what the device may take to act.
    pub(super) fn wait(&self, bytes: usize, act: Duration) -> Duration {
        let wait = self.long.map_or(FIRST, |(_, long, deviation)| {
            let expected = self.expected(bytes);
            let share = expected.as_secs_f64() / long.as_secs_f64().max(1e-6);
            expected + SLACK.max(4 * deviation.mul_f64(share.min(1e3)))
        });
        ((wait + act).min(MOST) * 2u32.pow(self.doublings)).min(MOST)
    }

    /// Expected time of an exchange of `bytes`.
    fn expected(&self, bytes: usize) -> Duration {
        let Some((long_bytes, long, _)) = self.long else { return FIRST };
        let bytes = bytes as f64;
        let time = match self.short {
            Some((short_bytes, short)) if short_bytes < long_bytes => {
                let slope = long.saturating_sub(short).as_secs_f64() / (long_bytes - short_bytes) as f64;
                short.as_secs_f64() + slope * (bytes - short_bytes as f64).max(0.0)
            }
            // One point only: it may be all latency or all bytes.
            _ => long.as_secs_f64() * (bytes / long_bytes.max(1) as f64).max(1.0),
        };
        Duration::from_secs_f64(time.clamp(0.0, MOST.as_secs_f64()))
    }

    /// No answer came in time.
    pub(super) fn silent(&mut self) {
        self.doublings = (self.doublings + 1).min(DOUBLINGS);
    }

    /// An answer came, of whatever.
    pub(super) fn heard(&mut self) {
        self.doublings = 0;
    }

    /// The answer to an exchange of `bytes` took `time`.
    pub(super) fn sample(&mut self, time: Duration, bytes: usize) {
        let smooth = |old: Duration, new: Duration| old * 7 / 8 + new / 8;
        match self.long {
            Some((long_bytes, long, deviation)) if bytes <= long_bytes => {
                let expected = self.expected(bytes);
                if 2 * bytes < long_bytes {
                    self.short = match self.short {
                        Some((short_bytes, short)) => Some((short_bytes.midpoint(bytes), smooth(short, time))),
                        None => Some((bytes, time)),
                    };
                    return;
                }
                let share = time.as_secs_f64() / expected.as_secs_f64().max(1e-6);
                let off = expected.abs_diff(time);
                let long = smooth(long, long.mul_f64(share.min(1e3)));
                self.long = Some((long_bytes, long, deviation * 3 / 4 + off / 4));
            }
            Some((long_bytes, long, _)) if 2 * long_bytes < bytes && self.short.is_none() => {
                self.short = Some((long_bytes, long));
                self.long = Some((bytes, time, time / 4));
            }
            _ => self.long = Some((bytes, time, time / 2)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_wait_follows_the_answers() {
        let mut clock = Clock::default();
        assert_eq!(clock.wait(10, Duration::ZERO), FIRST);
        clock.sample(SECOND, 100);
        assert_eq!(clock.wait(100, Duration::ZERO), 3 * SECOND);
        assert_eq!(clock.wait(300, Duration::ZERO), 9 * SECOND);
        (0..100).for_each(|_| clock.sample(SECOND, 100));
        assert_eq!(clock.wait(100, Duration::ZERO).as_millis(), 1200);
    }

    #[test]
    fn long_and_short_exchanges_have_waits_of_their_own() {
        // A tenth of a second, and a millisecond a byte.
        let time = |bytes: usize| Duration::from_millis(100 + bytes as u64);
        let mut clock = Clock::default();
        for bytes in [10, 10, 1000, 1000, 600, 1000, 800, 10, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000] {
            clock.sample(time(bytes), bytes);
        }
        for bytes in [10, 100, 500, 1000] {
            let wait = clock.wait(bytes, Duration::ZERO);
            assert!(time(bytes) < wait && wait < time(bytes) + SECOND / 4, "{bytes} bytes: {wait:?}");
        }
    }

    #[test]
    fn silence_doubles_it_twice_and_an_answer_takes_that_back() {
        let mut clock = Clock::default();
        (0..9).for_each(|_| clock.silent());
        assert_eq!(clock.wait(10, Duration::ZERO), 4 * FIRST);
        clock.heard();
        assert_eq!(clock.wait(10, 5 * SECOND), FIRST + 5 * SECOND);
    }
}
