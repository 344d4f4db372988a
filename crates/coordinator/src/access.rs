//! Who may call what. One table, enforced ahead of every service: a method that is not in it is refused to
//! everybody.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use kato_net::{Peer, Role};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::status;

/// A role without its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// May change the mesh's wishes.
    Operator,
    /// May look.
    Reader,
    /// A datacenter's coordinator.
    Coordinator,
    /// A machine's agent.
    Agent,
}

/// Everybody with a certificate.
const ALL: &[Who] = &[Who::Operator, Who::Reader, Who::Coordinator, Who::Agent];
/// Who may look. Coordinators ask each other on behalf of whom they have let in.
const READ: &[Who] = &[Who::Operator, Who::Reader, Who::Coordinator];
/// Who may change wishes.
const WRITE: &[Who] = &[Who::Operator, Who::Coordinator];
/// Consensus and reports.
const MEMBERS: &[Who] = &[Who::Coordinator];
/// Machines.
const MACHINES: &[Who] = &[Who::Agent];

/// Every method of every service, and whom it admits.
pub const ACCESS: &[(&str, &[Who])] = &[
    ("/kato.v1.Workloads/Apply", WRITE),
    // Apply's dry run has a name of its own, so that the table alone says who may do what.
    ("/kato.v1.Workloads/Plan", READ),
    ("/kato.v1.Workloads/Get", READ),
    ("/kato.v1.Workloads/List", READ),
    ("/kato.v1.Workloads/Delete", WRITE),
    ("/kato.v1.Workloads/Watch", READ),
    ("/kato.v1.Placement/Decide", READ),
    ("/kato.v1.Placement/List", READ),
    ("/kato.v1.Placement/Explain", READ),
    ("/kato.v1.Placement/WhatIf", READ),
    ("/kato.v1.Topology/ListDatacenters", READ),
    ("/kato.v1.Topology/ListCells", READ),
    ("/kato.v1.Topology/ListMachines", READ),
    ("/kato.v1.Topology/ListOffers", READ),
    ("/kato.v1.Cluster/GetStatus", READ),
    ("/kato.v1.Cluster/SetBudget", WRITE),
    ("/kato.v1.Events/List", READ),
    ("/kato.v1.Events/Watch", READ),
    ("/kato.v1.Logs/Read", READ),
    ("/kato.mesh.v1.Raft/Append", MEMBERS),
    ("/kato.mesh.v1.Raft/Vote", MEMBERS),
    ("/kato.mesh.v1.Raft/PreVote", MEMBERS),
    ("/kato.mesh.v1.Raft/InstallSnapshot", MEMBERS),
    ("/kato.mesh.v1.Raft/TransferLeader", MEMBERS),
    ("/kato.mesh.v1.Raft/Propose", MEMBERS),
    ("/kato.mesh.v1.Raft/ReadIndex", MEMBERS),
    ("/kato.mesh.v1.Raft/Probe", MEMBERS),
    ("/kato.mesh.v1.Reports/Report", MEMBERS),
    ("/kato.mesh.v1.Agents/Attach", MACHINES),
    ("/kato.mesh.v1.Agents/PushLog", MACHINES),
    ("/kato.mesh.v1.Agents/Knock", MACHINES),
    ("/grpc.health.v1.Health/Check", ALL),
    ("/grpc.health.v1.Health/Watch", ALL),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", ALL),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", ALL),
];

/// The kind of a role; an authority's certificate is never a peer's.
fn who(role: &Role) -> Option<Who> {
    match role {
        Role::Operator(_) => Some(Who::Operator),
        Role::Reader(_) => Some(Who::Reader),
        Role::Coordinator(_) => Some(Who::Coordinator),
        Role::Agent(_) => Some(Who::Agent),
        Role::Authority(_) => None,
    }
}

/// Whether a peer may call a method.
fn admit(path: &str, peer: Option<&Arc<Peer>>) -> Result<(), Status> {
    let Some(peer) = peer else {
        let text = "a certificate of the mesh is needed";
        return Err(status::because(Code::Unauthenticated, "NO_CERTIFICATE", text));
    };
    let Some((_, admitted)) = ACCESS.iter().find(|(method, _)| *method == path) else {
        let text = format!("there is no method {path}");
        return Err(status::because(Code::Unimplemented, "NO_SUCH_METHOD", text));
    };
    match who(&peer.identity.role) {
        Some(who) if admitted.contains(&who) => Ok(()),
        _ => {
            let names: Vec<String> =
                admitted.iter().map(|who| format!("{who:?}").to_lowercase()).collect();
            let text = format!(
                "{} may not call {path}: it is for {}",
                peer.identity.role,
                names.join(", ")
            );
            Err(status::denied(text, &names))
        }
    }
}

/// Puts the table ahead of a service.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AccessLayer;

impl<S> Layer<S> for AccessLayer {
    type Service = Access<S>;

    fn layer(&self, inner: S) -> Access<S> {
        Access { inner }
    }
}

/// See [`AccessLayer`].
#[derive(Debug, Clone)]
pub(crate) struct Access<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for Access<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match admit(request.uri().path(), request.extensions().get::<Arc<Peer>>()) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(status) => Either::Right(ready(Ok(status.into_http()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorInfo, StatusExt};

    use super::*;

    fn peer(role: &str) -> Arc<Peer> {
        let identity = format!("spiffe://demo.com/{role}").parse().unwrap();
        Arc::new(Peer { identity, address: "127.0.0.1:1".parse().unwrap() })
    }

    fn refused(path: &str, peer: Option<&Arc<Peer>>) -> (Code, ErrorInfo) {
        let status = admit(path, peer).unwrap_err();
        let info = status.get_details_error_info().expect("a program can tell why");
        assert_eq!(info.domain, "kato");
        (status.code(), info)
    }

    #[test]
    fn a_refusal_says_to_programs_why_and_who_would_be_admitted() {
        let reader = peer("reader/grafana");
        let (code, info) = refused("/kato.v1.Workloads/Apply", Some(&reader));
        assert_eq!((code, &*info.reason), (Code::PermissionDenied, "ROLE_NOT_ADMITTED"));
        assert_eq!(info.metadata["roles"], "operator,coordinator");
        let (code, info) = refused("/kato.v1.Workloads/Drop", Some(&reader));
        assert_eq!((code, &*info.reason), (Code::Unimplemented, "NO_SUCH_METHOD"));
        let (code, info) = refused("/kato.v1.Workloads/Get", None);
        assert_eq!((code, &*info.reason), (Code::Unauthenticated, "NO_CERTIFICATE"));
        admit("/kato.v1.Workloads/Get", Some(&reader)).unwrap();
    }
}
