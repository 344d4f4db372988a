//! Many writers at once: each acknowledged write is applied once, and all members hold the same bytes.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use kato_core::Revision;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::node::Site;
use crate::work::{address, settled, write};

const WRITERS: usize = 64;
const WRITES: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_writers_is_applied_once_each_and_alike_everywhere() -> Result<()> {
    let site = Site::new()?;
    let nodes = site.start_all().await?;
    write(&nodes[0].mesh, "first", "-").await?;
    let before = nodes[0].mesh.read(crate::node::PATIENCE).await?.state.revision;
    let begun = Instant::now();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let mesh = nodes[writer % 3].mesh.clone();
        writers.spawn(async move {
            let mut revisions = Vec::new();
            for number in 0..WRITES {
                // Another address each time, so that a write applied twice would make two revisions.
                let applied = write(&mesh, &format!("dc-{writer}"), &number.to_string()).await?;
                ensure!(applied.changed, "writer {writer}, {number} changed nothing");
                revisions.push(applied.revision);
            }
            Ok(revisions)
        });
    }
    let mut seen: BTreeMap<Revision, usize> = BTreeMap::new();
    while let Some(done) = writers.join_next().await {
        let revisions = done.context("a writer panicked")??;
        ensure!(revisions.is_sorted(), "a writer's own writes were reordered");
        for revision in revisions {
            *seen.entry(revision).or_default() += 1;
        }
    }
    let took = begun.elapsed();
    let total = WRITERS * WRITES;
    ensure!(seen.len() == total && seen.values().all(|count| *count == 1), "revisions are shared");
    let view = nodes[1].mesh.read(crate::node::PATIENCE).await?;
    let made = view.state.revision.0 - before.0;
    ensure!(made == total as u64, "{total} writes made {made} revisions");
    for writer in 0..WRITERS {
        let last = (WRITES - 1).to_string();
        ensure!(address(&view.state, &format!("dc-{writer}")) == Some(last.as_str()));
    }
    let states = settled(&nodes.iter().collect::<Vec<_>>()).await?;
    ensure!(states.iter().all(|state| *state == states[0]), "same-log-same-state");
    println!(
        "{total} writes by {WRITERS} writers in {took:?}: {} entries, state of {} bytes, equal",
        view.index,
        states[0].len()
    );
    for node in nodes {
        node.stop().await?;
    }
    Ok(())
}
