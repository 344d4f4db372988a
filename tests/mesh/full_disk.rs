//! A disk that fills up: writes go where there is room, or end in order; a disk that is full at last stops its member
//! alone, with the reason.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use kato_core::version::NEWEST;
use kato_raft::rig::RigDisk;
use kato_raft::{DirDisk, Error};

use crate::node::{PATIENCE, Site};
use crate::running;
use crate::work::{address, register, write};

#[path = "../not_run.rs"]
#[allow(dead_code, reason = "every test program includes the whole file")]
mod told;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leadership_goes_to_a_member_with_room_and_comes_to_rest_where_there_is_none()
-> Result<()> {
    let site = Site::new()?;
    let disks = [RigDisk::default(), RigDisk::default(), RigDisk::default()];
    let starting = (1..).zip(&disks);
    let starting =
        starting.map(|(id, disk)| running::start(&site, id, NEWEST, Arc::new(disk.clone())));
    let members = futures_util::future::try_join_all(starting).await?;
    let mut leadership = members[0].mesh.leadership();
    let mut leader = async |not: &[u64]| -> Result<u64> {
        let other = |id: u64| !not.contains(&id);
        let known = leadership.wait_for(|l| l.leader.as_ref().is_some_and(|(id, _)| other(*id)));
        let known = tokio::time::timeout(PATIENCE, known).await.context("it stays there")??;
        Ok(known.leader.as_ref().context("a leader")?.0)
    };
    write(&members[0].mesh, "extra", "before").await?;
    let mut without_room = Vec::new();
    for _ in 0..2 {
        let now = leader(&without_room).await?;
        disks[usize::try_from(now)? - 1].leave(Some(1 << 20));
        without_room.push(now);
        let next = leader(&without_room).await?;
        write(&members[usize::try_from(next)? - 1].mesh, "extra", &format!("by {next}")).await?;
    }
    // Nobody has room: whoever leads keeps it, and says why it takes nothing, whomever one asks.
    let last = leader(&without_room).await?;
    disks[usize::try_from(last)? - 1].leave(Some(1 << 20));
    let mut alarm = members[usize::try_from(last)? - 1].mesh.disk_alarm();
    let refusing = alarm.wait_for(|alarm| alarm.as_ref().is_some_and(|alarm| alarm.refusing));
    drop(tokio::time::timeout(PATIENCE, refusing).await.context("no alarm")??);
    for member in &members {
        let refused = member.mesh.propose(register("extra", "refused")?, PATIENCE).await;
        let text = match refused {
            Err(Error::DiskFull(text)) => text,
            other => anyhow::bail!("{other:?}"),
        };
        ensure!(text.contains("is almost full: 1 MiB left in rig, 256 MiB needed"), "{text}");
        let state = member.mesh.read(PATIENCE).await?.state;
        ensure!(address(&state, "extra").is_some_and(|address| address.starts_with("by ")));
    }
    for disk in &disks {
        disk.leave(None);
    }
    drop(tokio::time::timeout(PATIENCE, alarm.wait_for(Option::is_none)).await??);
    write(&members[0].mesh, "extra", "after").await?;
    for member in members {
        member.stop().await?;
    }
    Ok(())
}

/// A file system in memory of this many MiB.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path, mib: u32) -> Result<Self, String> {
        std::fs::create_dir_all(at).map_err(|error| error.to_string())?;
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "none"]).arg(at);
        let output = command.output().map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(Self(at.to_owned()));
        }
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Its member may hold files for a moment longer.
        drop(Command::new("umount").arg("--lazy").arg(&self.0).output());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_file_system_fills_up_and_is_cleared_again() -> Result<()> {
    let site = Site::new()?;
    let small = match Small::mount(&site.store(1), 400) {
        Ok(small) => small,
        Err(reason) => {
            told::not_run(&format!("a small file system cannot be mounted here: {reason}"));
            return Ok(());
        }
    };
    let store = || Ok::<_, anyhow::Error>(Arc::new(DirDisk::open(site.store(1).join("raft"))?));
    let mut starting = vec![running::start(&site, 1, NEWEST, store()?)];
    let disks = [RigDisk::default(), RigDisk::default()];
    for (id, disk) in (2..).zip(&disks) {
        disk.leave(Some(1 << 20));
        starting.push(running::start(&site, id, NEWEST, Arc::new(disk.clone())));
    }
    let mut members = futures_util::future::try_join_all(starting).await?;
    write(&members[1].mesh, "extra", "before").await?;
    let mut leadership = members[0].mesh.leadership();
    let led = leadership.wait_for(|leadership| leadership.here);
    drop(tokio::time::timeout(PATIENCE, led).await.context("the others have no room")??);
    let filling = site.store(1).join("filling");
    std::fs::write(&filling, vec![1; 200 << 20])?;
    let mut alarm = members[0].mesh.disk_alarm();
    let refusing = alarm.wait_for(|alarm| alarm.as_ref().is_some_and(|alarm| alarm.refusing));
    drop(tokio::time::timeout(PATIENCE, refusing).await.context("no alarm")??);
    let refused = members[2].mesh.propose(register("extra", "refused")?, PATIENCE).await;
    let text = refused.err().context("it was taken")?.to_string();
    ensure!(text.contains("the disk of dub is almost full: 1"), "{text}");
    ensure!(text.contains("/member-1/raft, 256 MiB needed"), "{text}");
    std::fs::remove_file(&filling)?;
    drop(tokio::time::timeout(PATIENCE, alarm.wait_for(Option::is_none)).await??);
    write(&members[1].mesh, "extra", "after").await?;
    // All of it at once, between two looks: the log cannot be written, and the member stops.
    let mut rest = std::fs::File::create(&filling)?;
    let block = vec![1; 1 << 20];
    while std::io::Write::write_all(&mut rest, &block).is_ok() {}
    let full = members.remove(0);
    let why = stopped_by_writing(full).await?;
    ensure!(why.contains("the log cannot be written"), "{why}");
    ensure!(why.contains("No space left on device"), "{why}");
    // The others have no room either, but one of them leads now, and says so.
    let refused = members[0].mesh.propose(register("extra", "refused")?, PATIENCE).await;
    ensure!(matches!(refused, Err(Error::DiskFull(_))), "{refused:?}");
    for member in members {
        member.stop().await?;
    }
    drop(small);
    Ok(())
}

/// Writes until the member stops by itself, and returns why it did.
async fn stopped_by_writing(member: running::Running) -> Result<String> {
    for number in 0..10_000 {
        let text = format!("{number}{}", "x".repeat(100_000));
        if write(&member.mesh, "extra", &text).await.is_err() {
            break;
        }
    }
    drop(member.mesh);
    let ended = tokio::time::timeout(PATIENCE, member.joined).await.context("it goes on")??;
    Ok(format!("{:#}", anyhow::Error::from(ended.err().context("it ended in order")?)))
}
