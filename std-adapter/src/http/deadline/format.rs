//! How a deadline is written in a header.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::http::header::HeaderName;
use ::http::{HeaderMap, HeaderValue};

/// The largest number in a `grpc-timeout`, which has eight digits at most.
const GRPC_MOST: u128 = 99_999_999;

/// The units of a `grpc-timeout` and their nanoseconds, the finest first.
const GRPC_UNITS: [(u8, u128); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60_000_000_000),
    (b'H', 3_600_000_000_000),
];

/// A header that carries a deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadlineHeader {
    name: HeaderName,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    UnixNanos,
    Grpc,
    Millis,
}

impl DeadlineHeader {
    /// `X-Deadline`: the instant, in nanoseconds since the Unix epoch.
    pub const UNIX_NANOS: Self =
        Self { name: HeaderName::from_static("x-deadline"), form: Form::UnixNanos };

    /// `grpc-timeout`: the time left, as gRPC has it (its "PROTOCOL-HTTP2"): at most eight digits,
    /// and a unit of `H`, `M`, `S`, `m`, `u` or `n`.
    pub const GRPC_TIMEOUT: Self =
        Self { name: HeaderName::from_static("grpc-timeout"), form: Form::Grpc };

    /// A header of this name with the time left in milliseconds, such as `X-Request-Timeout-Ms`. A
    /// 0, by which some mean that there is no limit, says nothing.
    #[must_use]
    pub const fn millis(name: HeaderName) -> Self {
        Self { name, form: Form::Millis }
    }

    /// A header of this name with the instant, in nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_nanos(name: HeaderName) -> Self {
        Self { name, form: Form::UnixNanos }
    }

    /// Says that `left` remains, at the moment `now`: rounded down to what the form can tell, as
    /// the receiver must not think that it has longer, but never to nothing, which some take
    /// for no limit.
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_std::http::deadline::DeadlineHeader;
    /// use http::HeaderMap;
    /// use std::time::{Duration, SystemTime};
    ///
    /// let mut headers = HeaderMap::new();
    /// DeadlineHeader::GRPC_TIMEOUT.insert(&mut headers, Duration::from_millis(250), SystemTime::now());
    /// assert_eq!(headers["grpc-timeout"], "250000u");
    /// ```
    pub fn insert(&self, headers: &mut HeaderMap, left: Duration, now: SystemTime) {
        let value = match self.form {
            Form::UnixNanos => {
                let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
                since_epoch.saturating_add(left).as_nanos().to_string()
            }
            Form::Grpc => grpc_timeout(left),
            Form::Millis => left.as_millis().max(1).to_string(),
        };
        // Digits and a letter: it is a value.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(self.name.clone(), value);
        }
    }

    pub(super) fn remove(&self, headers: &mut HeaderMap) {
        headers.remove(&self.name);
    }

    /// What the header says; `None` where it is not there, is there twice, or is malformed.
    pub(super) fn read(&self, headers: &HeaderMap, now: SystemTime) -> Option<Left> {
        let mut values = headers.get_all(&self.name).iter();
        let (value, None) = (values.next()?, values.next()) else {
            return None;
        };
        let value = value.as_bytes();
        match self.form {
            Form::UnixNanos => {
                let at = Duration::from_nanos(number(value, 20)?);
                let now = now.duration_since(UNIX_EPOCH).ok()?;
                Some(match at.checked_sub(now) {
                    Some(left) => Left::For(left),
                    None => Left::PastBy(now.saturating_sub(at)),
                })
            }
            Form::Grpc => {
                let (unit, digits) = value.split_last()?;
                let (_, nanos) = GRPC_UNITS.iter().find(|(name, _)| name == unit)?;
                let nanos = u128::from(number(digits, 8)?).saturating_mul(*nanos);
                Some(Left::For(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))))
            }
            Form::Millis => {
                let left = number(value, 20)?;
                (left > 0).then_some(Left::For(Duration::from_millis(left)))
            }
        }
    }
}

/// What a header says of the time that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    For(Duration),
    PastBy(Duration),
}

/// Digits and nothing else: `parse` alone would take a sign as well.
fn number(text: &[u8], most_digits: usize) -> Option<u64> {
    if text.is_empty() || text.len() > most_digits || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// In the finest unit in which it fits.
fn grpc_timeout(left: Duration) -> String {
    let left = left.as_nanos().max(1);
    let unit = GRPC_UNITS.iter().find(|(_, nanos)| left / nanos <= GRPC_MOST);
    match unit {
        Some((name, nanos)) => format!("{}{}", left / nanos, char::from(*name)),
        None => format!("{GRPC_MOST}H"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    fn now() -> SystemTime {
        UNIX_EPOCH + NOW
    }

    fn written(header: &DeadlineHeader, left: Duration) -> (String, Option<Left>) {
        let mut headers = HeaderMap::new();
        header.insert(&mut headers, left, now());
        let text = headers[&header.name].to_str().expect("text").to_owned();
        (text, header.read(&headers, now()))
    }

    fn read(header: &DeadlineHeader, text: &'static str) -> Option<Left> {
        let mut headers = HeaderMap::new();
        headers.insert(header.name.clone(), HeaderValue::from_static(text));
        header.read(&headers, now())
    }

    fn millis() -> DeadlineHeader {
        DeadlineHeader::millis(HeaderName::from_static("x-request-timeout-ms"))
    }

    #[test]
    fn what_is_written_is_read_and_never_later() {
        let hours = 3600 * 10_000;
        for left in
            [1, 999, 1_000_001, 99_999_999, 100_000_000, 1_500_000_000, hours * 1_000_000_000]
        {
            let left = Duration::from_nanos(left);
            for header in [DeadlineHeader::UNIX_NANOS, DeadlineHeader::GRPC_TIMEOUT, millis()] {
                let (text, Some(Left::For(read))) = written(&header, left) else { panic!() };
                let floor = left.max(Duration::from_millis(1));
                assert!(read <= if header == millis() { floor } else { left }, "{text}");
                assert!(read.as_nanos() * 1001 / 1000 + 1_000_000 >= left.as_nanos(), "{text}");
            }
        }
        assert_eq!(written(&DeadlineHeader::GRPC_TIMEOUT, Duration::ZERO).0, "1n");
        assert_eq!(written(&DeadlineHeader::GRPC_TIMEOUT, Duration::from_millis(100)).0, "100000u");
        assert_eq!(written(&DeadlineHeader::GRPC_TIMEOUT, Duration::MAX).0, "99999999H");
        assert_eq!(written(&millis(), Duration::ZERO).0, "1");
        assert_eq!(written(&DeadlineHeader::UNIX_NANOS, Duration::ZERO).0, "1800000000000000000");
    }

    #[test]
    fn grpc_units_are_told_apart() {
        let second = Duration::from_secs(1);
        for (text, left) in [("2H", 7200 * second), ("3M", 180 * second), ("4S", 4 * second)] {
            assert_eq!(read(&DeadlineHeader::GRPC_TIMEOUT, text), Some(Left::For(left)));
        }
        for (text, nanos) in [("5m", 5_000_000), ("6u", 6_000), ("7n", 7), ("0n", 0)] {
            let left = Duration::from_nanos(nanos);
            assert_eq!(read(&DeadlineHeader::GRPC_TIMEOUT, text), Some(Left::For(left)));
        }
    }

    #[test]
    fn what_is_malformed_says_nothing() {
        for text in ["", "n", "1", "1s", "+1S", "-1S", "1 S", " 1S", "1.5S", "123456789n", "0x1S"] {
            assert_eq!(read(&DeadlineHeader::GRPC_TIMEOUT, text), None, "{text:?}");
        }
        for text in ["", "-1", "+1", "1e3", "99999999999999999999", "18446744073709551616", "1,2"] {
            assert_eq!(read(&DeadlineHeader::UNIX_NANOS, text), None, "{text:?}");
            assert_eq!(read(&millis(), text), None, "{text:?}");
        }
        let mut twice = HeaderMap::new();
        twice.append("grpc-timeout", HeaderValue::from_static("1S"));
        assert!(DeadlineHeader::GRPC_TIMEOUT.read(&twice, now()).is_some());
        twice.append("grpc-timeout", HeaderValue::from_static("2S"));
        assert_eq!(DeadlineHeader::GRPC_TIMEOUT.read(&twice, now()), None);
    }

    #[test]
    fn an_instant_may_be_past() {
        let past = read(&DeadlineHeader::UNIX_NANOS, "1799999999000000000");
        assert_eq!(past, Some(Left::PastBy(Duration::from_secs(1))));
    }
}
