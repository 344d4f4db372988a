//! Placements: decided without committing, listed, explained.

use std::collections::BTreeSet;

use kato_core::{DatacenterName, InstanceId, ProviderName, RegionName, State, Timestamp};
use kato_proto::store::past::Fate;
use kato_proto::v1 as pb;
use tonic::{Request, Response, Status};

use super::Reading;
use super::page::page;
use super::spec::{from_fields, from_unit};
use super::workloads::name;
use crate::conflict::conflict;
use crate::history::{self, Found};
use crate::what_if::{Hypothesis, Loss, PriceChange, what_if};
use crate::{status, view};

/// Answers about placements.
pub(crate) struct PlacementService {
    pub(crate) reading: Reading,
}

/// What a page may end with. The order of tokens is the order of instances: numbers are padded, and a space comes
/// before all that a workload's name may go on with, as `web` does before `web-2`.
fn token(id: &InstanceId) -> String {
    format!("{} {:010}", id.workload, id.number)
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl pb::placement_server::Placement for PlacementService {
    async fn decide(&self, request: Request<pb::DecideRequest>) -> Answer<pb::DecideResponse> {
        use pb::decide_request::Source;
        let ips = &self.reading.context.ip_locations;
        let wanted = match request.into_inner().source {
            Some(Source::Unit(unit)) => from_unit(&unit, ips)?,
            Some(Source::Spec(spec)) => from_fields(&spec, ips)?,
            None => return Err(status::bad_field("source", "a unit or a spec is needed")),
        };
        let snapshot = self.reading.at(pb::Consistency::Linearizable).await?;
        let plan = self.reading.context.planner(&snapshot.view).anew(&wanted.spec);
        let decision = Some(view::decision(&plan.decision));
        Ok(Response::new(pb::DecideResponse { decision, unplaced: plan.unplaced() }))
    }

    async fn list(
        &self,
        request: Request<pb::ListPlacementsRequest>,
    ) -> Answer<pb::ListPlacementsResponse> {
        let consistency = request.get_ref().consistency();
        let request = request.into_inner();
        let only = if request.workload.is_empty() { None } else { Some(name(&request.workload)?) };
        let snapshot = self.reading.at(consistency).await?;
        let instances = snapshot.view.state.instances.values();
        let wanted = instances.filter(|i| only.as_ref().is_none_or(|only| i.id.workload == *only));
        let named = wanted.map(|instance| (token(&instance.id), instance));
        let list = format!("placements {}", request.workload);
        let whole = snapshot.whole();
        let (instances, next_page_token) =
            page(list.trim_end(), named, request.page, |instance| whole.instance(instance))?;
        let read = Some(snapshot.info);
        Ok(Response::new(pb::ListPlacementsResponse { read, instances, next_page_token }))
    }

    async fn explain(&self, request: Request<pb::ExplainRequest>) -> Answer<pb::ExplainResponse> {
        let id: InstanceId =
            request.get_ref().instance.parse().map_err(|error: kato_core::NameError| {
                status::bad_field("instance", error.to_string())
            })?;
        if let Some(at) = request.get_ref().at_unix_ms {
            return self.past(&id, Timestamp(at)).await;
        }
        let snapshot = self.reading.at(request.get_ref().consistency()).await?;
        let Some(instance) = snapshot.view.state.instances.get(&id) else {
            return Err(status::not_found(format!("there is no instance {id}")));
        };
        // What keeps it from a place is newer than why it once got the one that it has.
        let unplaceable = instance.unplaceable.as_ref().map(|found| &found.decision);
        let placed = instance.placement.as_ref().map(|placement| &placement.decision);
        let workload = snapshot.view.state.workloads.get(&id.workload);
        let conflict = match (unplaceable, workload) {
            (Some(_), Some(workload)) => {
                let planner = self.reading.context.planner(&snapshot.view);
                conflict(&planner, &workload.spec)
            }
            _ => Vec::new(),
        };
        Ok(Response::new(pb::ExplainResponse {
            instance: Some(snapshot.whole().instance(instance)),
            decision: unplaceable.or(placed).map(|decision| view::decision(decision)),
            read: Some(snapshot.info),
            past: None,
            conflict,
        }))
    }

    async fn what_if(&self, request: Request<pb::WhatIfRequest>) -> Answer<pb::WhatIfResponse> {
        let request = request.into_inner();
        let snapshot = self.reading.at(request.consistency()).await?;
        let hypothesis = hypothesis(&request, &snapshot.view.state)?;
        let planner = self.reading.context.planner(&snapshot.view);
        let outcome = what_if(&planner, &hypothesis);
        let mut answer = view::outcome(&outcome);
        answer.read = Some(snapshot.info);
        Ok(Response::new(answer))
    }
}

impl PlacementService {
    /// Why an instance was where it was, by what was kept here.
    async fn past(&self, id: &InstanceId, at: Timestamp) -> Answer<pb::ExplainResponse> {
        let context = &self.reading.context;
        if at > context.now() {
            return Err(status::bad_field("at_unix_ms", "it is in the future"));
        }
        let Some(history) = &context.history else {
            let text = format!("the coordinator of {} keeps no decisions", context.datacenter);
            return Err(status::not_found(text));
        };
        let found = history::ask(history, id, at).await;
        let found = found.map_err(|error| {
            tracing::error!(%error, "the table of decisions");
            Status::internal(error.to_string())
        })?;
        match found {
            Found::Past { at, until, fate, decision } => {
                let mut answer = view::past(id, at, &fate, decision.as_ref());
                answer.past = Some(pb::Past {
                    since_unix_ms: at.0,
                    until_unix_ms: until.map(|until| until.0),
                    deleted: fate == Fate::Deleted,
                    waited: fate == Fate::Waits,
                    kept_by: context.datacenter.to_string(),
                });
                Ok(Response::new(answer))
            }
            Found::Nothing(oldest) => {
                let table = format!("the table of decisions of {}", context.datacenter);
                Err(status::not_found(match oldest {
                    None => format!("{table} is empty"),
                    Some(oldest) if oldest > at => {
                        format!(
                            "{table} does not go back that far: it begins at {}. That of another coordinator may",
                            view::moment(oldest)
                        )
                    }
                    Some(_) => format!("nothing had been decided about {id} by then, says {table}"),
                }))
            }
        }
    }
}

/// The most that prices may be changed by, in percent.
const PERCENT_MAX: i32 = 10_000;

/// Reads what is taken to be so; what names nothing that there is, is refused.
fn hypothesis(request: &pb::WhatIfRequest, state: &State) -> Result<Hypothesis, Status> {
    let datacenter = |field: &'static str, name: &String| {
        let found = state.datacenters.keys().find(|known| known.as_str() == name);
        found.cloned().ok_or_else(|| {
            let known: Vec<&str> = state.datacenters.keys().map(DatacenterName::as_str).collect();
            let text = format!("there is no datacenter \"{name}\": {}", known.join(", "));
            status::bad_field(field, text)
        })
    };
    let mut found = Hypothesis::default();
    for what in &request.without {
        let loss = match what.split_once('=') {
            None => Loss::Datacenter(datacenter("without", what)?),
            Some((kind, whose)) => lost_provider(kind, whose, state)
                .map_err(|text| status::bad_field("without", text))?,
        };
        found.without.insert(loss);
    }
    for (name, most) in &request.capacity {
        found.capacity.insert(datacenter("capacity", name)?, *most);
    }
    for change in &request.prices {
        let bad = |error: kato_core::NameError| status::bad_field("prices", error.to_string());
        let region = Some(&change.region).filter(|region| !region.is_empty());
        if !(-99..=PERCENT_MAX).contains(&change.percent) {
            let text = format!("{} %: -99 to {PERCENT_MAX}", change.percent);
            return Err(status::bad_field("prices", text));
        }
        found.prices.push(PriceChange {
            provider: change.provider.parse().map_err(bad)?,
            region: region.map(|region| region.parse()).transpose().map_err(bad)?,
            percent: change.percent,
        });
    }
    if found.without.is_empty() && found.capacity.is_empty() && found.prices.is_empty() {
        return Err(status::bad_field("without", "nothing is otherwise: say what would be"));
    }
    Ok(found)
}

/// Reads `provider=ec2` and `region=ec2:eu-west-1`: somebody who sells to a datacenter.
fn lost_provider(kind: &str, whose: &str, state: &State) -> Result<Loss, String> {
    let sellers = state.datacenters.values().flat_map(|found| &found.spec.regions);
    let machines = state.machines.values().map(|machine| &machine.spec.offer);
    let mut known: BTreeSet<(&ProviderName, &RegionName)> = sellers.map(|(p, r)| (p, r)).collect();
    known.extend(machines.map(|offer| (&offer.provider, &offer.region)));
    let found = match kind {
        "provider" => known.iter().find(|(provider, _)| provider.as_str() == whose),
        "region" => known.iter().find(|(provider, region)| format!("{provider}:{region}") == whose),
        _ => {
            return Err(format!(
                "\"{kind}={whose}\" is not understood: a datacenter's name, provider=NAME or region=PROVIDER:REGION"
            ));
        }
    };
    let Some((provider, region)) = found else {
        let names: BTreeSet<String> = match kind {
            "provider" => known.iter().map(|(provider, _)| provider.to_string()).collect(),
            _ => known.iter().map(|(provider, region)| format!("{provider}:{region}")).collect(),
        };
        let names: Vec<String> = names.into_iter().collect();
        return Err(format!("no datacenter has a {kind} \"{whose}\": {}", names.join(", ")));
    };
    let region = (kind == "region").then(|| (*region).clone());
    Ok(Loss::Provider((*provider).clone(), region))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_in_the_order_of_instances() {
        let names = ["we@1", "web@1", "web@2", "web@10", "web-2@1", "web2@1", "webb@1"];
        let ids: Vec<InstanceId> = names.iter().map(|name| name.parse().unwrap()).collect();
        assert!(ids.is_sorted(), "as the state has them");
        let tokens: Vec<String> = ids.iter().map(token).collect();
        assert!(tokens.is_sorted(), "{tokens:?}");
    }
}
