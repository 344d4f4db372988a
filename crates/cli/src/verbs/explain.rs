//! `kato explain`: why an instance is where it is.

use kato_core::{InstanceId, Timestamp};
use kato_proto::v1::{self, ExplainRequest};
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;
use v1::placement_client::PlacementClient;

use super::reading::{ReadArgs, note_age};
use super::{VerbError, connect, lookup, now};
use crate::cli::ConnectionArgs;
use crate::failure::Exit;
use crate::output::{self, Format, explanation};

/// Show why an instance is where it is, and not elsewhere
///
/// For each datacenter: the filter that removed it, or the terms of its score in dollars and milliseconds, with
/// the source and the age of the price. It is the decision that was kept with the placement, not a new one.
///
/// With --at it is the one that held then. Each coordinator keeps the newest 64 MiB of what was decided while it ran.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Such as web@1
    #[arg(value_name = "INSTANCE")]
    instance: String,
    /// The form of the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// As it was then: 2026-11-20T03:12Z, or how long ago, such as 90s, 10m, 3h or 2d
    #[arg(long, value_name = "TIME", value_parser = point)]
    at: Option<Point>,
    #[command(flatten)]
    read: ReadArgs,
}

/// Runs the verb.
pub(crate) async fn run(args: Args, connection: ConnectionArgs) -> anyhow::Result<Exit> {
    let id = instance_id(&args.instance)?;
    let mut client = connect(&connection).await?;
    let consistency = args.read.consistency();
    let at_unix_ms = args.at.map(|at| at.unix_ms(now()));
    let request = ExplainRequest { instance: id.to_string(), consistency, at_unix_ms };
    let answer =
        client.read(async |calls| PlacementClient::new(calls).explain(request.clone()).await).await;
    let answer = match answer {
        Err(error) if error.is_not_found() && at_unix_ms.is_none() => {
            return Err(lookup::missing(&mut client, &id, consistency, error).await);
        }
        answer => answer?,
    };
    if at_unix_ms.is_some() && answer.past.is_none() {
        return Err(VerbError::NoPast.into());
    }
    note_age(answer.read.as_ref());
    if args.output.is_document() {
        output::print_document(args.output, &answer)?;
    } else {
        output::print(&explanation::explanation(&answer, now()))?;
    }
    Ok(Exit::Done)
}

/// A moment, as people name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    UnixMs(u64),
    AgoMs(u64),
}

impl Point {
    fn unix_ms(self, now: Timestamp) -> u64 {
        match self {
            Self::UnixMs(at) => at,
            Self::AgoMs(ago) => now.0.saturating_sub(ago),
        }
    }
}

/// Reads `2026-11-20T03:12Z` and `10m`.
fn point(text: &str) -> Result<Point, String> {
    let ago = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let unit_ms = match unit {
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(unit_ms).map(Point::AgoMs)
    };
    let moment = || {
        let at = OffsetDateTime::parse(text, &Iso8601::DEFAULT).ok()?;
        u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok().map(Point::UnixMs)
    };
    let wrong =
        || "write a time such as 2026-11-20T03:12Z, or how long ago, such as 10m".to_owned();
    ago().or_else(moment).ok_or_else(wrong)
}

/// Reads `web@1`.
pub(crate) fn instance_id(text: &str) -> Result<InstanceId, VerbError> {
    text.parse().map_err(|error| VerbError::instance(text, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_in_time_is_a_moment_or_an_age() {
        for (text, at) in [
            ("1970-01-01T00:01Z", Point::UnixMs(60_000)),
            ("1970-01-01T00:01:02Z", Point::UnixMs(62_000)),
            ("1970-01-01T00:01:02.345Z", Point::UnixMs(62_345)),
            ("1970-01-01T02:00:00+01:00", Point::UnixMs(3_600_000)),
            ("90s", Point::AgoMs(90_000)),
            ("3h", Point::AgoMs(10_800_000)),
        ] {
            assert_eq!(point(text), Ok(at), "{text}");
        }
        for bad in [
            "",
            "s",
            "10",
            "-3h",
            "yesterday",
            "2026-11-20",
            "2026-13-01T00:00Z",
            "1969-01-01T00:00Z",
            "ä",
        ] {
            assert!(point(bad).is_err(), "{bad:?} was taken");
        }
        assert_eq!(Point::AgoMs(90_000).unix_ms(Timestamp(100_000)), 10_000);
    }
}
