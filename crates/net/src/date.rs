//! Moments as people and certificates write them: RFC 3339, in UTC, to the second.

use std::fmt;
use std::time::Duration;

use kato_core::Timestamp;
use time::OffsetDateTime;

/// A moment that shows as `2026-11-22T13:42:28Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Date(pub(crate) Timestamp);

impl Date {
    /// The moment so many seconds after 1970; what lies before 1970 counts as 1970.
    pub(crate) fn from_unix_seconds(seconds: i64) -> Self {
        Self(Timestamp(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000)))
    }

    /// This moment and `span` more.
    pub(crate) fn plus(self, span: Duration) -> Self {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self(Timestamp(self.0.0.saturating_add(millis)))
    }

    /// This moment less `span`, or 1970.
    pub(crate) fn minus(self, span: Duration) -> Self {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self(Timestamp(self.0.0.saturating_sub(millis)))
    }

    /// The moment as certificates hold it, to the second; none after the year 9999.
    pub(crate) fn to_utc(self) -> Option<OffsetDateTime> {
        let seconds = i64::try_from(self.0.0 / 1000).ok()?;
        OffsetDateTime::from_unix_timestamp(seconds).ok()
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(utc) = self.to_utc() else {
            return f.write_str("a time after the year 9999");
        };
        let (year, month, day) = (utc.year(), u8::from(utc.month()), utc.day());
        let (hour, minute, second) = utc.to_hms();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_show_in_utc() {
        assert_eq!(Date::from_unix_seconds(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Date::from_unix_seconds(1_795_354_948).to_string(), "2026-11-22T13:42:28Z");
        assert_eq!(Date(Timestamp(u64::MAX)).to_string(), "a time after the year 9999");
        assert_eq!(Date::from_unix_seconds(7).minus(Duration::from_secs(9)).0, Timestamp(0));
    }
}
