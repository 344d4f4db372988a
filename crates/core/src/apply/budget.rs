//! The mesh's budget: set, and kept by everything that orders machines.

use crate::{Budget, EventKind, MicroDollars, Rejection, Revision, State};

impl State {
    pub(super) fn set_budget(
        &mut self,
        max: Option<MicroDollars>,
        expected: Option<Revision>,
    ) -> Result<(), Rejection> {
        let found = self.budget.map_or(Revision(0), |budget| budget.since);
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            let text = format!("the budget is of revision {found}, {expected} was expected");
            return Err(Rejection::conflict(text));
        }
        if max.is_some_and(|max| max < MicroDollars::ZERO) {
            return Err(Rejection::invalid("a budget is zero dollars an hour, or more"));
        }
        if self.budget.is_none() && max.is_none() {
            return Ok(());
        }
        let since = self.advance();
        self.budget = max.map(|max_micros_per_hour| Budget { max_micros_per_hour, since });
        let message = max.map_or("none any more".to_owned(), |max| {
            format!("{max}/h, of which {}/h is spent", self.spending())
        });
        let domain = self.settings.as_ref().map_or_else(String::new, |s| s.domain.clone());
        self.note(EventKind::BudgetSet, domain, message);
        Ok(())
    }

    /// Whether machines may be ordered for so much more an hour.
    pub(super) fn check_budget(&self, more: MicroDollars) -> Result<(), Rejection> {
        if more == MicroDollars::ZERO {
            // Nothing is summed up for what buys nothing.
            return Ok(());
        }
        match self.budget_left() {
            Some(left) if more > left => {
                let text = format!(
                    "machines for {more}/h would be ordered, the mesh's budget has {left}/h left"
                );
                Err(Rejection::conflict(text))
            }
            _ => Ok(()),
        }
    }
}
