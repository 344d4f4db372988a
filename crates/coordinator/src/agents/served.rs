//! What an agent is told of the coordinators: who serves its machine, and to whom it may turn when that one is gone.

use std::cmp::Ordering;

use kato_core::{DatacenterName, DatacenterSpec, State};
use kato_proto::mesh_v1 as pb;

/// The most coordinators that an agent is told of, beside its own and the one that serves it.
pub(crate) const NEIGHBOURS_MAX: usize = 8;

/// Who serves the machines of a datacenter; none while nobody has described it.
pub(super) fn served(state: &State, name: &DatacenterName) -> Option<pb::Served> {
    let datacenter = state.datacenters.get(name)?;
    let by = datacenter.served_by();
    let mut coordinators: Vec<&DatacenterSpec> =
        state.datacenters.values().map(|found| &found.spec).collect();
    let from = datacenter.spec.location;
    coordinators.sort_by(|a, b| {
        let (a, b) = (from.distance_km(a.location), from.distance_km(b.location));
        a.partial_cmp(&b).unwrap_or(Ordering::Equal)
    });
    let is_close = |spec: &DatacenterSpec| spec.name == *name || spec.name == *by;
    let mut neighbours = 0;
    coordinators.retain(|spec| {
        neighbours += usize::from(!is_close(spec));
        is_close(spec) || neighbours <= NEIGHBOURS_MAX
    });
    let coordinator = |spec: &DatacenterSpec| pb::Coordinator {
        datacenter: spec.name.to_string(),
        address: spec.address.clone(),
    };
    Some(pb::Served {
        term: datacenter.term().0,
        by: by.to_string(),
        mesh: state.identity.unwrap_or_default().0,
        coordinators: coordinators.into_iter().map(coordinator).collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use kato_core::{Coordinates, Datacenter, Delegation, Revision};

    use super::*;

    /// Datacenters on the equator, each a degree further to the east.
    fn mesh(count: u8) -> State {
        let mut state = State::default();
        for degree in 0..count {
            let spec = DatacenterSpec {
                country: None,
                labels: [].into(),
                name: format!("dc-{degree}").parse().unwrap(),
                location: Coordinates::from_degrees(0.0, f64::from(degree)).unwrap(),
                address: format!("dc-{degree}:7440"),
                regions: BTreeSet::new(),
                cells: BTreeMap::new(),
            };
            state.datacenters.insert(spec.name.clone(), Datacenter::new(spec));
        }
        state
    }

    #[test]
    fn agents_know_the_nearest_coordinators_their_own_and_the_one_that_serves_them() {
        let mut state = mesh(20);
        let own: DatacenterName = "dc-3".parse().unwrap();
        let told = |state: &State| {
            let told = served(state, &own).unwrap();
            let names: Vec<String> = told.coordinators.into_iter().map(|c| c.datacenter).collect();
            (told.term, told.by, names.join(" "))
        };
        let nearest = "dc-3 dc-2 dc-4 dc-1 dc-5 dc-0 dc-6 dc-7 dc-8";
        assert_eq!(told(&state), (0, "dc-3".to_owned(), nearest.to_owned()));
        let delegation = Delegation { to: "dc-19".parse().unwrap(), term: Revision(7) };
        state.datacenters.get_mut(&own).unwrap().delegation = Some(delegation);
        assert_eq!(told(&state), (7, "dc-19".to_owned(), format!("{nearest} dc-19")));
        assert_eq!(served(&state, &"nowhere".parse().unwrap()), None);
    }
}
