//! The timing that the mesh has agreed on, and when leases are granted at all.

use crate::{Agreed, EventKind, Rejection, Revision, State, Timing};

impl State {
    /// Whoever waited, waited for this very quarantine: a restored mesh that is restored again has another one.
    pub(super) fn end_quarantine(&mut self, since: Revision) -> Result<(), Rejection> {
        match self.quarantined {
            None => Ok(()),
            Some(found) if found == since => {
                self.advance();
                self.quarantined = None;
                // Nobody has been granted a lease since then.
                let given_up = self.machines.iter().filter_map(|(id, machine)| {
                    let suspended = machine.suspended?;
                    (suspended.since == since && !suspended.over).then(|| (id.clone(), since))
                });
                let given_up: Vec<_> = given_up.collect();
                self.declare_lost(&given_up)?;
                let domain = self.settings.as_ref().map_or_else(String::new, |s| s.domain.clone());
                let message = "every lease from before the restore has ended".to_owned();
                self.note(EventKind::QuarantineEnded, domain, message);
                Ok(())
            }
            Some(found) => Err(Rejection::conflict(format!(
                "the quarantine is of revision {found}, not {since}"
            ))),
        }
    }

    pub(super) fn set_timing(
        &mut self,
        expected: Revision,
        timing: Timing,
    ) -> Result<(), Rejection> {
        let Some(settings) = &self.settings else {
            return Err(Rejection::not_found("the mesh is not founded"));
        };
        let (domain, since) = (settings.domain.clone(), self.agreed.map(|agreed| agreed.since));
        if since.unwrap_or_default() != expected {
            return Err(Rejection::conflict(format!(
                "the timing is of revision {}, not {expected}",
                since.unwrap_or_default()
            )));
        }
        let Timing { rtt_ms_max, lease_ms, lease_ms_max } = timing;
        let granted = self.lease_ms().unwrap_or_default();
        if lease_ms == 0 || lease_ms > lease_ms_max || granted > lease_ms_max {
            return Err(Rejection::invalid(format!(
                "leases of {lease_ms} ms, after some of {granted} ms, cannot be over after {lease_ms_max} ms"
            )));
        }
        if self.agreed.is_some_and(|agreed| agreed.timing == timing) {
            return Ok(());
        }
        self.advance();
        self.agreed = Some(Agreed { timing, since: self.revision });
        let waited = if lease_ms_max > lease_ms {
            format!(", some of {lease_ms_max} ms still hold")
        } else {
            String::new()
        };
        let message =
            format!("for round trips of up to {rtt_ms_max} ms; leases of {lease_ms} ms{waited}");
        self.note(EventKind::TimingSet, domain, message);
        Ok(())
    }
}
