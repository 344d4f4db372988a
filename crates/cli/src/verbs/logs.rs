//! `kato logs`: what an instance prints.

use kato_proto::v1::{self, Consistency, LogLine, ReadLogsRequest};
use v1::logs_client::LogsClient;

use super::connect;
use super::explain::instance_id;
use super::reading::ReadArgs;
use crate::cli::ConnectionArgs;
use crate::failure::Exit;
use crate::output::{self, Reader, units};

/// Show what an instance prints
///
/// Lines of its standard output and standard error as they are; lines of Káto itself begin with "kato: ".
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Such as web@1
    #[arg(value_name = "INSTANCE")]
    instance: String,
    /// Go on as it prints more
    #[arg(short, long)]
    follow: bool,
    /// Begin with the last so many lines
    #[arg(short = 'n', long, value_name = "LINES", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    lines: u32,
    /// Begin each line with its time in UTC
    #[arg(short, long)]
    timestamps: bool,
    #[command(flatten)]
    read: ReadArgs,
}

/// Runs the verb.
pub(crate) async fn run(args: Args, connection: ConnectionArgs) -> anyhow::Result<Exit> {
    let instance = instance_id(&args.instance)?.to_string();
    let mut client = connect(&connection).await?;
    let (follow, lines, consistency) = (args.follow, args.lines, args.read.consistency());
    let request = ReadLogsRequest { instance, follow, lines, consistency };
    let mut stream =
        client.stream(async |calls| LogsClient::new(calls).read(request.clone()).await).await?;
    if consistency == i32::from(Consistency::Stale) {
        output::note(&format!(
            "stale: {} may run elsewhere by now; this is from where a coordinator last knew it",
            request.instance
        ));
    }
    while let Some(line) = client.message(&mut stream, args.follow).await? {
        if output::print_raw(&shown(&line, args.timestamps))? == Reader::Gone {
            break;
        }
    }
    Ok(Exit::Done)
}

fn shown(line: &LogLine, timestamps: bool) -> String {
    let time = if timestamps { units::moment(line.at_unix_ms) + " " } else { String::new() };
    let from = if line.stream == "kato" { "kato: " } else { "" };
    format!("{time}{from}{}\n", line.text.trim_end_matches('\n'))
}
