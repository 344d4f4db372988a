//! The timing that the mesh has agreed on.

use crate::{Agreed, EventKind, Rejection, Revision, State, Timing};

impl State {
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
