//! Figures as operators read them: money, time and size, always with their unit.

use std::time::Duration;

use kato_core::Timestamp;
use kato_proto::v1::Resources;
use time::OffsetDateTime;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Micro-dollars with so many decimals (at most 6): `$0.0912`.
pub(crate) fn dollars(micros: i64, decimals: u32) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let (whole, rest) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    let shown = rest / 10_u64.pow(6 - decimals);
    format!("{sign}${whole}.{shown:0width$}", width = decimals as usize)
}

/// Micro-dollars with as many decimals as they need: 4, or 6.
pub(crate) fn money(micros: i64) -> String {
    kato_core::MicroDollars(micros).to_string()
}

/// Micro-dollars beside others: all of them with 6 decimals if one is `fine`, and with 4 otherwise.
pub(crate) fn money_beside(micros: i64, fine: bool) -> String {
    dollars(micros, if fine { 6 } else { 4 })
}

/// Whether an amount needs more than 4 decimals.
pub(crate) fn is_fine(micros: i64) -> bool {
    micros % 100 != 0
}

/// Microseconds as milliseconds: `38 ms`, `4.2 ms`.
pub(crate) fn latency(us: u32) -> String {
    let ms = f64::from(us) / 1e3;
    if us < 10_000 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

/// How long ago, in one figure: `12s`, `3m`, `5h`, `2d`.
pub(crate) fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// How long: like an age, but with milliseconds where it is short.
pub(crate) fn span(span: Duration) -> String {
    if span < Duration::from_secs(1) { format!("{} ms", span.as_millis()) } else { age(span) }
}

/// Milliseconds to the last one, for what is configured and not measured: `5.4 s`, `12 s`, `500 ms`.
pub(crate) fn exact(ms: u64) -> String {
    if ms < 1000 {
        return format!("{ms} ms");
    }
    let fraction = format!(".{:03}", ms % 1000);
    format!("{}{} s", ms / 1000, fraction.trim_end_matches(['0', '.']))
}

/// The age of a moment; `-` where there was none.
pub(crate) fn since(unix_ms: u64, now: Timestamp) -> String {
    if unix_ms == 0 { "-".to_owned() } else { age(now.since(Timestamp(unix_ms))) }
}

/// A moment in UTC: `2026-11-22T13:42:28Z`, which other logs can be compared with.
pub(crate) fn moment(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms / 1000).ok();
    let Some(utc) = seconds.and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok()) else {
        return "-".to_owned();
    };
    let (hour, minute, second) = utc.to_hms();
    format!("{}T{hour:02}:{minute:02}:{second:02}Z", date(utc))
}

/// The day of a moment: `2026-11-22`.
pub(crate) fn date(utc: OffsetDateTime) -> String {
    format!("{:04}-{:02}-{:02}", utc.year(), u8::from(utc.month()), utc.day())
}

/// What is paid whole, and how many such machines are taken back in a month: `by the minute, ≤10% taken back/month`.
pub(crate) fn terms(billed_s: Option<u32>, interruption_percent: Option<u32>) -> String {
    let billed = billed_s.map(|billed_s| match billed_s {
        1 => "by the second".to_owned(),
        60 => "by the minute".to_owned(),
        3_600 => "by the hour".to_owned(),
        other => format!("by {}", age(Duration::from_secs(other.into()))),
    });
    let taken = interruption_percent.map(|percent| format!("≤{percent}% taken back/month"));
    billed.into_iter().chain(taken).collect::<Vec<_>>().join(", ")
}

/// Thousandths of a core: `2`, `500m`.
pub(crate) fn cpu(millis: u64) -> String {
    if millis.is_multiple_of(1000) { (millis / 1000).to_string() } else { format!("{millis}m") }
}

/// Bytes of memory: `8 GiB`, `256 MiB`.
pub(crate) fn memory(bytes: u64) -> String {
    match bytes {
        0 => "0".to_owned(),
        bytes if bytes.is_multiple_of(GIB) => format!("{} GiB", bytes / GIB),
        bytes => format!("{} MiB", bytes / MIB),
    }
}

/// All of them in words: `500m CPU, 256 MiB, 10 GiB of disk, 1 GPU`.
pub(crate) fn resources(resources: Option<&Resources>) -> String {
    let resources = resources.copied().unwrap_or_default();
    let mut text = format!("{} CPU, {}", cpu(resources.cpu_millis), memory(resources.memory_bytes));
    if resources.disk_bytes > 0 {
        text += &format!(", {} of disk", memory(resources.disk_bytes));
    }
    if resources.gpus > 0 {
        text += &format!(", {}", count(u32::try_from(resources.gpus).unwrap_or(u32::MAX), "GPU"));
    }
    text
}

/// A number and its noun: `1 machine`, `2 machines`.
pub(crate) fn count(number: u32, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_their_units() {
        assert_eq!(dollars(91_234, 4), "$0.0912");
        assert_eq!(dollars(-1_091_234, 6), "-$1.091234");
        for (us, shown) in [(4_230, "4.2 ms"), (38_400, "38 ms"), (0, "0.0 ms")] {
            assert_eq!(latency(us), shown);
        }
        for (s, shown) in [(12, "12s"), (119, "119s"), (180, "3m"), (7200, "2h"), (172_800, "2d")] {
            assert_eq!(age(Duration::from_secs(s)), shown);
        }
        assert_eq!(span(Duration::from_millis(250)), "250 ms");
        for (ms, shown) in [(500, "500 ms"), (5400, "5.4 s"), (12_000, "12 s"), (26_220, "26.22 s")]
        {
            assert_eq!(exact(ms), shown);
        }
        assert_eq!((exact(10_000).as_str(), exact(1_005).as_str()), ("10 s", "1.005 s"));
        assert_eq!(moment(1_795_354_948_000), "2026-11-22T13:42:28Z");
        assert_eq!((cpu(2000), cpu(1500)), ("2".to_owned(), "1500m".to_owned()));
        assert_eq!(
            (memory(8 * GIB), memory(256 * MIB)),
            ("8 GiB".to_owned(), "256 MiB".to_owned())
        );
        assert_eq!(
            (count(1, "machine"), count(0, "machine")),
            ("1 machine".into(), "0 machines".into())
        );
    }
}
