//! The values of `[X-Kato]` keys, each read by itself: its kind, its range, and what to write instead.

use std::time::Duration;

use kato_core::{COUNT_MAX, DatacenterName, MicroDollars, PortName};

use crate::value::{self, ValueError};

/// The most processor time one instance may ask for: 1,024 cores, twice the largest machine on sale.
const CPU_MILLIS_MAX: u64 = 1_024_000;
/// The least memory: below it, the unit was forgotten (`Memory=512` is 512 bytes).
const MEMORY_BYTES_MIN: u64 = 1 << 20;
/// The most memory: 32 TiB, as much as the largest machine on sale has.
const MEMORY_BYTES_MAX: u64 = 32 << 40;
/// The largest latency bound; twice around the Earth takes less than half a second.
const LATENCY_MAX: Duration = Duration::from_secs(10);
/// The highest price of one instance for an hour.
const PRICE_MAX: MicroDollars = MicroDollars(1_000_000_000);
/// The highest price of a millisecond for an hour.
const LATENCY_PRICE_MAX: MicroDollars = MicroDollars(1_000_000);

/// `Count=3`.
pub(super) fn count(text: &str) -> Result<u32, ValueError> {
    text.parse().ok().filter(|count| (1..=COUNT_MAX).contains(count)).ok_or_else(|| {
        ValueError::new(format!(
            "\"{text}\" is not a number of copies: write a whole number from 1 to {COUNT_MAX}"
        ))
    })
}

/// `CPU=500m`, `CPU=2`, `CPU=0.5`: thousandths of a core.
pub(super) fn cpu(text: &str) -> Result<u64, ValueError> {
    let millis = match text.strip_suffix('m') {
        Some(digits) => digits.parse().ok().filter(|_: &u64| !digits.starts_with('+')),
        None => value::milli(text),
    };
    let wrong = |what: &str| ValueError::new(format!("\"{text}\" is {what}"));
    match millis {
        None => {
            Err(wrong("not a number of processor cores: write 500m, 0.5 or 2, from 1m to 1024"))
        }
        Some(0) => Err(wrong("no processor time at all: write 1m to 1024, such as 100m")),
        Some(millis) if millis > CPU_MILLIS_MAX => {
            let meant = if millis % 1_000 == 0 && !text.ends_with('m') {
                format!("; did you mean {text}m?")
            } else {
                String::new()
            };
            Err(wrong(&format!(
                "more cores than any machine has: write 1m to 1024, such as 500m or 2{meant}"
            )))
        }
        Some(millis) => Ok(millis),
    }
}

/// `Memory=512M`: bytes.
/// The most that one machine's disks may have: 1 PiB.
const DISK_BYTES_MAX: u64 = 1 << 50;

pub(super) fn disk(text: &str) -> Result<u64, ValueError> {
    let bytes = value::size(text)?;
    if (MEMORY_BYTES_MIN..=DISK_BYTES_MAX).contains(&bytes) {
        return Ok(bytes);
    }
    Err(ValueError::new(format!(
        "\"{text}\" is out of range: write a size from 1M to 1024T, such as 20G"
    )))
}

pub(super) fn memory(text: &str) -> Result<u64, ValueError> {
    let bytes = value::size(text)?;
    let range = "from 1M to 32T";
    if bytes == 0 {
        return Err(ValueError::new(format!(
            "\"{text}\" is no memory at all: write a size {range}, such as 128M"
        )));
    }
    if bytes < MEMORY_BYTES_MIN {
        let meant = if text.bytes().all(|b| b.is_ascii_digit()) {
            format!("; did you mean {text}M?")
        } else {
            String::new()
        };
        return Err(ValueError::new(format!(
            "\"{text}\" is only {bytes} bytes: write a size {range}{meant}"
        )));
    }
    if bytes > MEMORY_BYTES_MAX {
        return Err(ValueError::new(format!(
            "\"{text}\" is more than any machine has: write a size {range}"
        )));
    }
    Ok(bytes)
}

/// `MaxLatency=80ms`: milliseconds. A bare number would be seconds in systemd and milliseconds to
/// everybody else, so it is refused.
pub(super) fn latency(text: &str) -> Result<u32, ValueError> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        let unit = if text.contains('.') { "s" } else { "ms" };
        return Err(ValueError::new(format!("\"{text}\" has no unit: write {text}{unit}")));
    }
    let right = "write 80ms or 0.2s";
    let span = value::time_span(text)
        .map_err(|_| ValueError::new(format!("\"{text}\" is not a duration: {right}")))?
        .ok_or_else(|| {
            ValueError::new(format!("infinity is no bound: {right}, or remove the line"))
        })?;
    if span < Duration::from_millis(1) || span > LATENCY_MAX {
        return Err(ValueError::new(format!("\"{text}\" is out of range: write 1ms to 10s")));
    }
    if !span.as_micros().is_multiple_of(1_000) {
        return Err(ValueError::new(format!(
            "\"{text}\" is finer than latencies are estimated: write whole milliseconds, such as 80ms"
        )));
    }
    u32::try_from(span.as_millis())
        .map_err(|_| ValueError::new(format!("\"{text}\" is out of range: write 1ms to 10s")))
}

/// `MaxPrice=0.10`: the price of one instance for an hour.
pub(super) fn price(text: &str) -> Result<MicroDollars, ValueError> {
    amount(text, "for one instance and hour", PRICE_MAX, "0.10")
}

/// `LatencyPrice=0.0005`: the price of a millisecond for an hour.
pub(super) fn latency_price(text: &str) -> Result<MicroDollars, ValueError> {
    amount(text, "for a millisecond and hour", LATENCY_PRICE_MAX, "0.0005")
}

/// `MaxTotalPrice=2.50`: the price of all instances for an hour.
pub(super) fn total_price(text: &str) -> Result<MicroDollars, ValueError> {
    let most = MicroDollars(PRICE_MAX.0.saturating_mul(COUNT_MAX.into()));
    amount(text, "for all instances and an hour", most, "2.50")
}

/// `MoveCost=0.01`: dollars for one move.
pub(super) fn move_cost(text: &str) -> Result<MicroDollars, ValueError> {
    amount(text, "for moving one instance", PRICE_MAX, "0.01")
}

/// `worth=0.01`, `excess=0.01`: dollars for one instance and hour.
pub(super) fn worth(text: &str) -> Result<MicroDollars, ValueError> {
    amount(text, "for one instance and hour", PRICE_MAX, "0.01")
}

fn amount(
    text: &str,
    of: &str,
    most: MicroDollars,
    example: &str,
) -> Result<MicroDollars, ValueError> {
    let whole = most.0 / 1_000_000;
    let right = format!("write a decimal from 0 to {whole}, such as {example}");
    let amount: MicroDollars = text.parse().map_err(|_| {
        ValueError::new(format!("\"{text}\" is not an amount of dollars {of}: {right}"))
    })?;
    if amount > most {
        return Err(ValueError::new(format!("\"{text}\" is too much {of}: {right}")));
    }
    Ok(amount)
}

/// One word of `Datacenters=`.
pub(super) fn datacenter(word: &str) -> Result<DatacenterName, ValueError> {
    DatacenterName::new(word).map_err(|_| {
        let lower = word.to_ascii_lowercase();
        let meant = match DatacenterName::new(lower.as_str()) {
            Ok(name) => format!("; did you mean {name}?"),
            Err(_) => String::new(),
        };
        ValueError::new(format!(
            "\"{word}\" is not a datacenter's name: use a-z, 0-9 and inner hyphens, such as dub or dc-1{meant}"
        ))
    })
}

/// One word of `Port=`.
pub(super) fn port(word: &str) -> Result<PortName, ValueError> {
    // A number is a DNS label too, but whoever writes one means the port itself.
    if word.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ValueError::new(format!(
            "\"{word}\" is a number, and the machine chooses that: write a name such as http, \
             and take the number from KATO_PORT_HTTP"
        )));
    }
    PortName::new(word).map_err(|_| {
        ValueError::new(format!(
            "\"{word}\" is not a port's name: use a-z, 0-9 and inner hyphens, such as http or grpc-api"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_people_write_them() {
        assert_eq!(cpu("500m"), Ok(500));
        assert_eq!(cpu("2"), Ok(2_000));
        assert_eq!(cpu("0.5"), Ok(500));
        assert_eq!(memory("512M"), Ok(512 << 20));
        assert_eq!(latency("80ms"), Ok(80));
        assert_eq!(latency("0.2s"), Ok(200));
        assert_eq!(price("$0.10"), Ok(MicroDollars(100_000)));
        assert_eq!(latency_price("0.0005"), Ok(MicroDollars(500)));
        assert_eq!(count("10000"), Ok(10_000));
    }

    #[test]
    fn values_out_of_kind_or_range_are_refused() {
        for bad in ["", "0", "0m", "-1", "+5m", "1025", "50%", "0.0001", "1.5m", "m"] {
            assert!(cpu(bad).is_err(), "CPU={bad} was taken");
        }
        for bad in ["0", "512", "1023K", "33T", "1e9", ""] {
            assert!(memory(bad).is_err(), "Memory={bad} was taken");
        }
        for bad in ["fast", "80", "0ms", "11s", "infinity", "1.5ms", "", "-5ms"] {
            assert!(latency(bad).is_err(), "MaxLatency={bad} was taken");
        }
        for bad in ["0", "10001", "1.5", "-1", "", "all"] {
            assert!(count(bad).is_err(), "Count={bad} was taken");
        }
        assert!(price("1001").is_err() && latency_price("1.1").is_err() && price("10c").is_err());
        assert!(port("8080").is_err() && port("HTTP").is_err() && port("grpc-api").is_ok());
    }
}
