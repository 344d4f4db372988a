//! What the commands write.

use futures_util::StreamExt as _;
use kato_core::Timestamp;
use kato_units::engine::{LogSource, UnitEngine as _};

use crate::support::{Bench, PATIENCE, assignment, id};

pub(crate) async fn output_is_captured_rotated_and_followed() {
    let mut bench = Bench::new();
    bench.config.output_bytes_max = 20_000;
    let sandbox = bench.open().await;
    let unit = r#"ExecStart=/bin/sh -c 'echo oops >&2; printf "no end"; \
        while [ ! -e %S/go ]; do sleep 0.05; done; echo; \
        n=0; while [ $$n -lt 3000 ]; do n=$$((n + 1)); echo "line $$n"; done; exec sleep 600'"#;
    sandbox.start(assignment("talk", unit), None).await.unwrap();

    let mut lines = sandbox.log(id("talk@1"), true, 10).await.unwrap();
    let first = tokio::time::timeout(PATIENCE, lines.next()).await.unwrap().unwrap();
    assert!(first.at > Timestamp(1_735_689_600_000), "before 2025");
    assert_eq!((first.source, first.text.as_str()), (LogSource::Stderr, "oops"));
    std::fs::write(bench.home("talk@1").join("state/go"), "").unwrap();
    let found = async {
        let mut seen = Vec::new();
        while seen.last().is_none_or(|text| text != "line 3000") {
            let line = lines.next().await.unwrap();
            assert_eq!(line.source, LogSource::Stdout);
            seen.push(line.text);
        }
        seen
    };
    let seen = tokio::time::timeout(PATIENCE, found).await.unwrap();
    assert_eq!(seen[..2], ["no end", "line 1"]);

    // Two files, neither over the limit, and the last lines are in them.
    for name in ["output.log", "output.log.1"] {
        let bytes = std::fs::metadata(bench.home("talk@1").join(name)).unwrap().len();
        assert!(bytes > 0 && bytes <= 20_000, "{name} has {bytes} bytes");
    }
    let last: Vec<String> =
        sandbox.log(id("talk@1"), false, 300).await.unwrap().map(|line| line.text).collect().await;
    assert_eq!(last, (2_701..=3_000).map(|n| format!("line {n}")).collect::<Vec<_>>());
    sandbox.stop(id("talk@1"), 7).await.unwrap();
    sandbox.remove(id("talk@1")).await.unwrap();
    assert!(sandbox.log(id("talk@1"), false, 1).await.is_err());
    assert!(tokio::time::timeout(PATIENCE, lines.count()).await.is_ok(), "the follower goes on");
}
