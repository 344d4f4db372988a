//! The one function that changes the state. Every command is checked against the state before anything of it
//! is done, so that a refused command leaves no trace.

mod budget;
mod machine;
mod order;
mod placement;
mod timing;
mod topology;
mod workload;

pub use order::ATTEMPTS_MAX;

use crate::{Applied, Batch, Command, Rejection, State};

impl State {
    /// Applies one log entry. The same entries in the same order give the same state on every node.
    pub fn apply(&mut self, batch: &Batch) -> Vec<Result<Applied, Rejection>> {
        self.time = self.time.max(batch.at);
        batch.commands.iter().map(|command| self.apply_one(command)).collect()
    }

    fn apply_one(&mut self, command: &Command) -> Result<Applied, Rejection> {
        let before = self.revision;
        if command.needs() > self.version {
            return Err(Rejection::invalid(format!(
                "the command came with mesh version {}, the mesh is at version {}",
                command.needs(),
                self.version
            )));
        }
        match command {
            Command::Found(settings) => self.found(settings)?,
            Command::RegisterDatacenter(spec) => self.register_datacenter(spec)?,
            Command::DeclareLost(machines) => self.declare_lost(machines)?,
            Command::JoinMachine(spec) => self.join_machine(spec)?,
            Command::Suspend { machines, reason } => self.suspend(machines, reason)?,
            Command::Resume { machine, incarnation } => self.resume(machine, *incarnation)?,
            Command::PutWorkload(put) => self.put_workload(put)?,
            Command::DeleteWorkload { name, expected } => self.delete_workload(name, *expected)?,
            Command::Place(place) => self.place(place)?,
            Command::Unplaceable { instance, epoch, decision } => {
                self.mark_unplaceable(instance, *epoch, decision)?;
            }
            Command::Bind { instance, epoch, machine } => self.bind(instance, *epoch, machine)?,
            Command::Refuse { instance, epoch, retry_after_ms } => {
                self.refuse(instance, *epoch, *retry_after_ms)?;
            }
            Command::Settled { machine, revision } => self.settled(machine, *revision),
            Command::OrderMachine { instance, epoch, cell, offer } => {
                self.order_machine(instance, *epoch, cell, offer)?;
            }
            Command::AttemptOrder { order, attempt } => self.attempt_order(*order, *attempt)?,
            Command::FailOrder { order, reason, retry_after_ms } => {
                self.fail_order(*order, reason, *retry_after_ms)?;
            }
            Command::Delegate { datacenter, expected, to } => {
                self.delegate(datacenter, *expected, to)?;
            }
            Command::EndQuarantine { since } => self.end_quarantine(*since)?,
            Command::RaiseVersion { to } => self.raise_version(*to),
            Command::SetBudget { max, expected } => self.set_budget(*max, *expected)?,
            Command::SetTiming { expected, timing } => self.set_timing(*expected, *timing)?,
        }
        Ok(Applied { revision: self.revision, changed: self.revision != before })
    }
}
