//! What is printed for hand-made messages: wide, narrow and empty.

use anstream::adapter::strip_str;
use insta::assert_snapshot;
use kato_core::Timestamp;
use kato_proto::v1::{
    ApplyResponse, Brake, Budget, Change, DiskAlarm, ExplainResponse, GetStatusResponse, Instance,
    Past, ReadInfo, RunState, WhatIfResponse,
};

use super::candidates::plan;
use super::samples as sample;
use super::table::Table;
use super::{Format, details, explanation, lists, overview, what_if};

const NOW: Timestamp = Timestamp(sample::NOW);

fn text(styled: &str) -> String {
    strip_str(styled).to_string()
}

fn table(table: &Table) -> String {
    text(&table.render())
}

#[test]
fn plans() {
    assert_snapshot!("plan_created", text(&plan(&sample::plan(Change::Created))));
    let mut tight = sample::plan(Change::Updated);
    (tight.unplaced, tight.machines_to_buy, tight.adds_micros_per_hour) = (1, 1, 9_100);
    tight.conflict = vec!["Count=3".to_owned(), "MaxPrice=$0.0100".to_owned()];
    for candidate in &mut tight.decision.as_mut().unwrap().candidates {
        candidate.chosen = u32::from(candidate.datacenter == "lhr");
    }
    assert_snapshot!("plan_in_part", text(&plan(&tight)));
    let nothing = ApplyResponse { decision: None, warnings: vec![], ..sample::plan(Change::None) };
    assert_snapshot!("plan_unchanged", text(&plan(&nothing)));
    let mut bought = sample::plan(Change::None);
    bought.machines_to_buy = 1;
    assert!(!text(&plan(&bought)).contains("1 machine to buy"), "it was bought long ago");
    let one = ApplyResponse { workload: Some(sample::workload("db", 1)), ..nothing };
    let expected = "db would stay as it is: 1 instance of 100m CPU, 64 MiB, 5 GiB of disk, 1 GPU\n";
    assert!(text(&plan(&one)).starts_with(expected));
}

#[test]
fn what_would_be() {
    let shown = |answer: &WhatIfResponse| text(&what_if::outcome(answer));
    assert_snapshot!("what_if", shown(&sample::what_if()));
    let moved = WhatIfResponse {
        machines_to_buy: 0,
        adds_micros_per_hour: 0,
        stranded: vec![],
        ..sample::what_if()
    };
    assert_snapshot!("what_if_on_what_there_is", shown(&moved));
    assert_eq!(shown(&WhatIfResponse::default()), "nothing would move\n");
}

#[test]
fn explanations() {
    let explain = |response: &ExplainResponse| text(&explanation::explanation(response, NOW));
    assert_snapshot!("explain", explain(&sample::explanation()));
    let mut then = sample::explanation();
    let (since_unix_ms, until_unix_ms) = (1_789_000_000_000, Some(1_789_000_600_000));
    let kept_by = "dub".to_owned();
    then.past = Some(Past { since_unix_ms, until_unix_ms, deleted: false, waited: false, kept_by });
    assert_snapshot!("explain_past", explain(&then));
    assert_snapshot!("explain_json", serde_json::to_string_pretty(&then).unwrap());
    let mut nowhere = sample::explanation();
    nowhere.instance = sample::instances().into_iter().next();
    nowhere.decision.as_mut().unwrap().candidates.drain(..2);
    assert_snapshot!("explain_unplaceable", explain(&nowhere));
    assert_snapshot!(
        "explain_undecided",
        explain(&ExplainResponse {
            instance: Some(Instance { id: "web@9".to_owned(), ..Instance::default() }),
            ..ExplainResponse::default()
        })
    );
}

#[test]
fn overviews() {
    let show =
        |status: &GetStatusResponse| text(&overview::overview(status, &sample::datacenters(), NOW));
    assert_snapshot!("status_one_lost", show(&sample::status()));
    let well = GetStatusResponse {
        may_lose: 1,
        machines_suspended: 0,
        running: 3,
        unplaceable: 0,
        machines_bought: 1,
        machines_bought_micros_per_hour: 91_200,
        machines_ordered: 0,
        ..sample::status()
    };
    assert_snapshot!("status_well", show(&well));
    let dark = vec!["ewr".to_owned(), "fra".to_owned()];
    let brake = Some(Brake { dark, datacenters: 3, awaited: 1 });
    assert_snapshot!("status_brake", show(&GetStatusResponse { brake, ..sample::status() }));
    let mut older = GetStatusResponse { mesh_version: 2, ..well.clone() };
    older.members[1].knows = 2;
    assert_snapshot!("status_older_member", show(&older));
    let mut orphaned = well.clone();
    (orphaned.members[1].silent_ms, orphaned.members[1].heard) = (Some(95_000), false);
    let mut datacenters = sample::datacenters();
    datacenters[1].served_by = "dub".to_owned();
    assert_snapshot!("status_stood_in", text(&overview::overview(&orphaned, &datacenters, NOW)));
    let restored = GetStatusResponse { quarantined: true, ..well.clone() };
    let shown = show(&restored);
    let leases = shown.lines().find(|line| line.starts_with("Leases")).unwrap();
    assert!(leases.contains("none is granted yet, and no singleton runs"), "{leases}");
    let spent = Budget { max_micros_per_hour: 90_000, ..well.budget.unwrap() };
    assert_eq!(
        text(&overview::budget(&spent)),
        "$0.0900/h, of which $0.0912/h is spent: $0.0012/h too much, and no machine is bought"
    );
    let mut full = well.clone();
    full.members[0].disk_alarm = Some(DiskAlarm {
        free_bytes: 12 << 20,
        needed_bytes: 256 << 20,
        path: "/var/lib/kato/raft".to_owned(),
    });
    assert_snapshot!("status_disk_alarm", show(&full));
    let mut headless = sample::status();
    headless.leader.clear();
    (headless.machines_bought, headless.machines_ordered) = (0, 0);
    headless.members.iter_mut().for_each(|member| member.leader = false);
    (headless.members[1].silent_ms, headless.members[1].heard) = (None, false);
    let read = ReadInfo { stale: true, age_ms: 71_000, ..headless.read.take().unwrap() };
    headless.read = Some(read);
    assert_snapshot!("status_headless", text(&overview::overview(&headless, &[], NOW)));
    let datacenters = sample::datacenters();
    assert_snapshot!(
        "status_headless_with_datacenters",
        text(&overview::overview(&headless, &datacenters, NOW))
    );
    headless.members.iter_mut().for_each(|member| member.heard = true);
    assert_snapshot!("status_electing", text(&overview::overview(&headless, &datacenters, NOW)));
}

#[test]
fn tables() {
    let workloads = [sample::workload("web", 2), {
        let mut db = sample::workload("db", 1);
        (db.placed, db.running, db.current, db.unplaceable) = (0, 0, 0, 1);
        db.price_micros_per_hour = 0;
        db
    }];
    let instances = sample::instances();
    let both =
        |show: &dyn Fn(bool) -> Table| format!("{}\n{}", table(&show(false)), table(&show(true)));
    assert_snapshot!("workloads", both(&|wide| lists::workloads(&workloads, NOW, wide)));
    assert_snapshot!("placements", both(&|wide| lists::placements(&instances, NOW, wide)));
    assert_snapshot!("machines", both(&|wide| lists::machines(&sample::machines(), NOW, wide)));
    let datacenters = sample::datacenters();
    assert_snapshot!("datacenters", both(&|wide| lists::datacenters(&datacenters, NOW, wide)));
    assert_snapshot!("offers", both(&|wide| lists::offers(&sample::offers(), NOW, wide)));
    assert_snapshot!("cells", table(&lists::cells(&sample::cells())));
    assert_snapshot!("endpoints", table(&lists::endpoints(&instances)));
    assert_snapshot!("events", table(&lists::events(&sample::events())));
    assert_snapshot!("empty", table(&lists::placements(&[], NOW, true)));
}

#[test]
fn no_line_ends_with_blanks() {
    let (workload, mut explained) = (sample::workload("web", 2), sample::explanation());
    for candidate in &mut explained.decision.as_mut().unwrap().candidates {
        candidate.refusal.clear();
    }
    for shown in [
        plan(&sample::plan(Change::Created)),
        explanation::explanation(&explained, NOW),
        overview::overview(&sample::status(), &sample::datacenters(), NOW),
        details::workload(&workload, &sample::instances(), &sample::events(), NOW),
        lists::placements(&sample::instances(), NOW, true).render(),
        Table::new(1).left("NAME", ["web".into()]).left("", ["".into()]).render(),
    ] {
        // Neither on a terminal nor in a file.
        for line in shown.lines().chain(text(&shown).lines()) {
            assert_eq!(line, line.trim_end(), "{shown}");
        }
    }
}

#[test]
fn descriptions() {
    let (instances, events) = (sample::instances(), sample::events());
    let web = sample::workload("web", 2);
    let shown = details::workload(&web, &instances[1..], &events[..2], NOW);
    assert_snapshot!("describe_workload", text(&shown));
    let reason = "fra: lost or suspended".to_owned();
    let nowhere: Vec<Instance> = ["web@1", "web@2"]
        .map(|id| Instance {
            unplaceable: reason.clone(),
            ..sample::instance(id, RunState::Unplaceable)
        })
        .into();
    let shown = text(&details::workload(&web, &nowhere, &[], NOW));
    assert!(shown.contains("\nNo place      web@1, web@2: fra: lost or suspended\n"), "{shown}");
    assert_snapshot!(
        "describe_placement",
        text(&details::placement(&instances[2], &events[1..2], NOW))
    );
    let stays = sample::in_its_old_place();
    let row = table(&lists::placements(std::slice::from_ref(&stays), NOW, false));
    let described = text(&details::placement(&stays, &[], NOW));
    assert_snapshot!("in_its_old_place", format!("{row}\n{described}"));
    let (datacenters, machines) = (sample::datacenters(), sample::machines());
    let lost = details::datacenter(&datacenters[2], &machines[2..], &events[2..], NOW);
    assert_snapshot!("describe_datacenter", text(&lost));
    assert_snapshot!(
        "describe_machine",
        text(&details::machine(&machines[0], &instances[1..2], NOW))
    );
}

#[test]
fn documents_are_the_messages_of_the_api() {
    let cells = &sample::cells()[1];
    assert_snapshot!("json", super::document(Format::Json, cells).unwrap());
    assert_snapshot!("yaml", super::document(Format::Yaml, cells).unwrap());
}

#[test]
fn text_from_elsewhere_cannot_command_the_terminal() {
    let cell = super::table::Cell::from("a\u{1b}[2Jb\r\nc");
    assert_eq!(table(&Table::new(1).left("X", [cell])), "X\na [2Jb  c\n");
}
