//! Whole units read for one instance.

use std::time::Duration;

use super::*;

fn read(text: &str) -> Result<Service, Vec<String>> {
    let file = UnitFile::parse("web@.service", text).unwrap();
    let specifiers = Specifiers::new("web@2".parse().unwrap(), true, "core-1");
    Service::for_instance(&file, &specifiers)
        .map_err(|findings| findings.iter().map(ToString::to_string).collect())
}

#[test]
fn a_unit_that_says_little_has_the_defaults_of_systemd() {
    let service = read("[Service]\nExecStart=/bin/true\n").unwrap();
    assert_eq!((service.kind, service.restart), (Kind::Simple, Restart::No));
    assert_eq!(service.restart_sec, Duration::from_millis(100));
    assert_eq!(service.timeout_start, Some(Duration::from_secs(90)));
    assert_eq!(service.timeout_stop, Some(Duration::from_secs(90)));
    assert_eq!(service.kill_signal, Signal::TERM);
    assert_eq!(service.start_limit, StartLimit { interval: Duration::from_secs(10), burst: 5 });
    assert_eq!(service.working_directory, None);
    assert!(service.warnings.is_empty() && service.environment.is_empty());
}

#[test]
fn every_key_is_read() {
    let service = read(
        "[Unit]\nStartLimitIntervalSec=1min\nStartLimitBurst=3\n[Service]\nType=oneshot\n\
         RemainAfterExit=yes\nEnvironment=A=1 \"B=x y\"\nEnvironment=A=2 'C=\\x41%i'\n\
         ExecStartPre=-/bin/a\nExecStart=/bin/b ; /bin/c\nExecStart=d\nExecStartPost=/bin/e\n\
         ExecStop=/bin/f\nExecStopPost=/bin/g\nWorkingDirectory=-%S/web\nRestart=on-failure\n\
         RestartSec=2\nTimeoutStartSec=5\nTimeoutSec=infinity\nTimeoutStopSec=1min 30s\n\
         KillSignal=SIGINT\nSuccessExitStatus=3\nSuccessExitStatus=\nSuccessExitStatus=4 SIGUSR1\n",
    )
    .unwrap();
    assert_eq!((service.kind, service.remain_after_exit), (Kind::Oneshot, true));
    assert_eq!(service.exec_start.len(), 3);
    assert!(service.exec_start_pre[0].ignore_failure);
    let environment: Vec<(&str, &str)> =
        service.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(environment, [("A", "2"), ("B", "x y"), ("C", "A2")]);
    let directory = service.working_directory.unwrap();
    assert_eq!((directory.path.as_deref(), directory.missing_ok), (Some("/var/lib/web"), true));
    assert_eq!(
        (service.timeout_start, service.timeout_stop),
        (None, Some(Duration::from_secs(90)))
    );
    assert_eq!(service.restart_sec, Duration::from_secs(2));
    assert_eq!(service.kill_signal.to_string(), "SIGINT");
    assert_eq!(service.success_exit_status.codes.len(), 1);
    assert_eq!(service.start_limit, StartLimit { interval: Duration::from_mins(1), burst: 3 });
}

#[test]
fn an_empty_assignment_takes_back_what_was_said() {
    let service = read(
        "[Service]\nExecStart=/bin/a\nExecStart=\nExecStart=/bin/b\nEnvironment=A=1\nEnvironment=\n\
         Restart=always\nRestart=\nType=oneshot\nTimeoutStartSec=\n",
    )
    .unwrap();
    assert_eq!(service.exec_start[0].program, "/bin/b");
    assert!(service.environment.is_empty());
    assert_eq!((service.restart, service.timeout_start), (Restart::No, None));
}

#[test]
fn a_dropped_in_directory_set_replaces_systemds() {
    let file =
        UnitFile::parse("db.service", "[Service]\nExecStart=/bin/db %S/db %n %i.\n").unwrap();
    let mut specifiers = Specifiers::new("db@1".parse().unwrap(), false, "core-1");
    "/tmp/cell/state".clone_into(&mut specifiers.directories.state);
    let service = Service::for_instance(&file, &specifiers).unwrap();
    assert_eq!(
        service.exec_start[0].arguments,
        ["/bin/db", "/tmp/cell/state/db", "db.service", "."]
    );
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let findings = read(
        "[Service]\nType=one-shot\nExecStart='/bin/a\nEnvironment=1A=x\nTimeoutSec=soon\n\
         WorkingDirectory=srv\nKillSignal=SIGTREM\n",
    )
    .unwrap_err();
    assert_eq!(findings.len(), 6, "{findings:#?}");
}
