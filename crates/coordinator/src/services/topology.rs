//! The parts of the mesh, and what can be bought for them.

use std::sync::Arc;

use kato_core::{Cell, CellId, DatacenterName, Offer};
use kato_proto::v1 as pb;
use tonic::{Request, Response, Status};

use super::Reading;
use super::page::page;
use crate::{status, view};

/// Answers about the topology.
pub(crate) struct TopologyService {
    pub(crate) reading: Reading,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl pb::topology_server::Topology for TopologyService {
    async fn list_datacenters(
        &self,
        request: Request<pb::ListDatacentersRequest>,
    ) -> Answer<pb::ListDatacentersResponse> {
        let snapshot = self.reading.at(request.get_ref().consistency()).await?;
        let datacenters = snapshot.view.state.datacenters.iter();
        let named = datacenters.map(|(name, datacenter)| (name.to_string(), datacenter));
        let (whole, asked) = (snapshot.whole(), request.into_inner().page);
        let (datacenters, next_page_token) =
            page("datacenters", named, asked, |found| whole.datacenter(found))?;
        let read = Some(snapshot.info);
        Ok(Response::new(pb::ListDatacentersResponse { read, datacenters, next_page_token }))
    }

    async fn list_cells(
        &self,
        request: Request<pb::ListCellsRequest>,
    ) -> Answer<pb::ListCellsResponse> {
        let snapshot = self.reading.at(request.get_ref().consistency()).await?;
        let state = &snapshot.view.state;
        let mut named: Vec<_> =
            state.cells.iter().map(|(id, cell)| (id.to_string(), (id, cell))).collect();
        named.sort_by(|(a, _), (b, _)| a.cmp(b));
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let message = |(id, cell): (&CellId, &Cell)| {
            let datacenter = state.datacenters.get(&id.datacenter);
            let limits = datacenter.and_then(|datacenter| datacenter.spec.cells.get(&id.cell));
            let mut labels = datacenter.map(|found| found.spec.labels.clone()).unwrap_or_default();
            labels.extend(limits.map(|cell| cell.labels.clone()).unwrap_or_default());
            pb::Cell {
                id: id.to_string(),
                machines: count(cell.machines.len()),
                machines_max: limits.map_or(0, |limits| limits.machines_max),
                orders: count(cell.orders.len()),
                free: Some(view::resources(state.cell_free(id))),
                zone: limits.and_then(|cell| cell.zone.clone()).unwrap_or_default(),
                labels,
            }
        };
        let (cells, next_page_token) =
            page("cells", named.into_iter(), request.into_inner().page, message)?;
        let read = Some(snapshot.info.clone());
        Ok(Response::new(pb::ListCellsResponse { read, cells, next_page_token }))
    }

    async fn list_machines(
        &self,
        request: Request<pb::ListMachinesRequest>,
    ) -> Answer<pb::ListMachinesResponse> {
        let snapshot = self.reading.at(request.get_ref().consistency()).await?;
        let machines = snapshot.view.state.machines.iter();
        let mut named: Vec<_> = machines.map(|(id, machine)| (id.to_string(), machine)).collect();
        named.sort_by(|(a, _), (b, _)| a.cmp(b));
        let (whole, asked) = (snapshot.whole(), request.into_inner().page);
        let (machines, next_page_token) =
            page("machines", named.into_iter(), asked, |machine| whole.machine(machine))?;
        let read = Some(snapshot.info.clone());
        Ok(Response::new(pb::ListMachinesResponse { read, machines, next_page_token }))
    }

    async fn list_offers(
        &self,
        request: Request<pb::ListOffersRequest>,
    ) -> Answer<pb::ListOffersResponse> {
        let snapshot = self.reading.at(request.get_ref().consistency()).await?;
        let request = request.into_inner();
        let only: Option<DatacenterName> = match request.datacenter.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|error: kato_core::NameError| {
                status::bad_field("datacenter", error.to_string())
            })?),
        };
        let datacenters = &snapshot.view.state.datacenters;
        if let Some(only) = &only
            && !datacenters.contains_key(only)
        {
            return Err(status::not_found(format!("there is no datacenter {only}")));
        }
        let wanted = datacenters.values().map(|datacenter| &datacenter.spec);
        let wanted = wanted.filter(|spec| only.as_ref().is_none_or(|only| spec.name == *only));
        let mut offers: Vec<_> = wanted
            .flat_map(|spec| spec.regions.iter().map(move |region| (&spec.name, region)))
            .flat_map(|(name, (provider, region))| {
                let offers = self.reading.context.catalogue.offers(provider, region);
                offers.map(move |offer| (offer.price_micros_per_hour, name, offer))
            })
            .collect();
        offers.sort_by(|a, b| (a.0, a.1, &a.2.kind).cmp(&(b.0, b.1, &b.2.kind)));
        // Padded, so that the order of tokens is the order of prices.
        let named = offers
            .into_iter()
            .enumerate()
            .map(|(place, (_, name, offer))| (format!("{place:010}"), (name, offer)));
        let message = |(name, offer): (&DatacenterName, &Arc<Offer>)| pb::DatacenterOffer {
            datacenter: name.to_string(),
            offer: Some(view::offer(offer)),
        };
        let list = format!("offers {}", request.datacenter);
        let (offers, next_page_token) = page(list.trim_end(), named, request.page, message)?;
        let read = Some(snapshot.info.clone());
        Ok(Response::new(pb::ListOffersResponse { read, offers, next_page_token }))
    }
}
