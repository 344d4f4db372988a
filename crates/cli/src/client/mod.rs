//! The client's side of the API: connect to the first coordinator that answers, call it with a deadline,
//! and go on to the next one when a read finds it cut off from the others.

mod again;
mod call;
mod dial;
mod error;
mod pages;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use kato_net::clock::{Clock, SystemClock};
use kato_net::tls::{Credentials, TlsTransport};
use kato_net::{Identity, Transport};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

pub(crate) use again::Outage;
pub(crate) use call::{CallError, Intent};
pub(crate) use error::ClientError;
pub(crate) use pages::Paged;

use crate::output::{self, units};
use crate::settings::Settings;
use dial::Dialer;
use pages::PAGE_SIZE;

/// From when on an expiring certificate is spoken of.
const EXPIRY_WARNING: Duration = Duration::from_hours(24 * 7);

/// How much longer the server is given than this side waits, so that this side's message is the one shown.
const SERVER_GRACE: Duration = Duration::from_secs(1);

/// A connection that tells the server the deadline of each call.
pub(crate) type Calls = InterceptedService<Channel, Deadline>;

/// Adds the deadline to a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Option<Duration>);

impl Interceptor for Deadline {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(timeout) = self.0 {
            request.set_timeout(timeout + SERVER_GRACE);
        }
        Ok(request)
    }
}

/// A connection to one coordinator, and the others that may take its place.
pub(crate) struct Client {
    dialer: Dialer,
    channel: Channel,
    identity: Identity,
    timeout: Duration,
}

impl Client {
    /// Connects to the first coordinator that answers.
    pub(crate) async fn connect(settings: Settings) -> Result<Self, ClientError> {
        let failed = |error| ClientError::Credentials(Box::new(error));
        let credentials = Credentials::load(&settings.ca, &settings.certificate, &settings.key);
        let credentials = credentials.map_err(failed)?;
        check_validity(&credentials)?;
        let transport = TlsTransport::new(credentials, Arc::new(SystemClock)).map_err(failed)?;
        let identity = transport.identity().clone();
        let mut dialer = Dialer::new(Arc::new(transport), settings.addresses);
        let channel = dialer.next().await?;
        Ok(Self { dialer, channel, identity, timeout: settings.timeout })
    }

    /// The coordinator that is asked at the moment.
    pub(crate) fn address(&self) -> &str {
        self.dialer.address()
    }

    /// How long an answer may take; and how long one looks for a coordinator at which a stream goes on.
    pub(crate) fn patience(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn set_patience(&mut self, patience: Duration) {
        self.timeout = patience;
    }

    /// Leaves this coordinator for the next one that answers, if there is one.
    pub(crate) async fn go_on(&mut self) -> bool {
        match self.dialer.next().await {
            Ok(channel) => self.channel = channel,
            Err(_) => return false,
        }
        true
    }

    /// Asks something that changes nothing. A coordinator that is cut off from the others is left for the
    /// next one that answers.
    pub(crate) async fn read<T>(
        &mut self,
        call: impl AsyncFn(Calls) -> Result<Response<T>, Status>,
    ) -> Result<T, ClientError> {
        loop {
            let error = match self.once(Intent::Read, &call).await {
                Err(error) if error.is_unavailable() => error,
                answered => return answered,
            };
            if !self.go_on().await {
                return Err(error);
            }
        }
    }

    /// Changes something: asked once, because an error may come after the change.
    pub(crate) async fn write<T>(
        &mut self,
        call: impl AsyncFn(Calls) -> Result<Response<T>, Status>,
    ) -> Result<T, ClientError> {
        self.once(Intent::Write, &call).await
    }

    /// Reads all pages of a list as one answer.
    pub(crate) async fn list<L: Paged>(
        &mut self,
        call: impl AsyncFn(Calls, Option<kato_proto::v1::Page>) -> Result<Response<L>, Status>,
    ) -> Result<L, ClientError> {
        let mut whole: Option<L> = None;
        let mut token = String::new();
        loop {
            let page = kato_proto::v1::Page { size: PAGE_SIZE, token: token.clone() };
            let answer = self.read(async |calls| call(calls, Some(page.clone())).await).await?;
            let (merged, next) = pages::merge(whole, answer);
            if next.is_empty() {
                return Ok(merged);
            }
            if next == token {
                return Err(ClientError::Pages);
            }
            (whole, token) = (Some(merged), next);
        }
    }

    /// Opens a stream: only its opening has the deadline of a call. A coordinator that is cut off from the others is
    /// left for the next one that answers.
    pub(crate) async fn stream<T>(
        &mut self,
        call: impl AsyncFn(Calls) -> Result<Response<Streaming<T>>, Status>,
    ) -> Result<Streaming<T>, ClientError> {
        loop {
            let error = match self.open(&call).await {
                Err(error) if error.lacks_majority() => error,
                answered => return answered,
            };
            if !self.go_on().await {
                return Err(error);
            }
        }
    }

    async fn open<T>(
        &self,
        call: &impl AsyncFn(Calls) -> Result<Response<Streaming<T>>, Status>,
    ) -> Result<Streaming<T>, ClientError> {
        let calls = InterceptedService::new(self.channel.clone(), Deadline(None));
        self.limited(Intent::Stream, call(calls)).await
    }

    /// The next message of a stream. One that waits for things to happen may be silent for as long as nothing
    /// does; the pings of the connection tell whether it still stands.
    pub(crate) async fn message<T>(
        &self,
        stream: &mut Streaming<T>,
        waits: bool,
    ) -> Result<Option<T>, ClientError> {
        let message = stream.message();
        let next = if waits { message.await } else { self.in_time(message).await };
        next.map_err(|status| self.failed(Intent::Stream, status))
    }

    /// Asks one coordinator. One that has too much to do has done nothing, and says when to ask it again.
    async fn once<T>(
        &self,
        intent: Intent,
        call: &impl AsyncFn(Calls) -> Result<Response<T>, Status>,
    ) -> Result<T, ClientError> {
        let (began, mut noted) = (SystemClock.boot(), false);
        loop {
            let calls = InterceptedService::new(self.channel.clone(), Deadline(Some(self.timeout)));
            let error = match self.limited(intent, call(calls)).await {
                Err(error) => error,
                answered => return answered,
            };
            let left = self.timeout.saturating_sub(SystemClock.boot().saturating_sub(began));
            let Some(pause) = error.pause().filter(|pause| *pause < left) else {
                return Err(error);
            };
            if !std::mem::replace(&mut noted, true) {
                output::note(&format!("{error}; trying again within {left:.0?}"));
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn limited<T>(
        &self,
        intent: Intent,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, ClientError> {
        let answered = self.in_time(call).await;
        answered.map(Response::into_inner).map_err(|status| self.failed(intent, status))
    }

    async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        tokio::time::timeout(self.timeout, answer).await.unwrap_or_else(|_| {
            Err(Status::deadline_exceeded(format!("no answer within {:?}", self.timeout)))
        })
    }

    fn failed(&self, intent: Intent, status: Status) -> ClientError {
        let address = self.dialer.address().to_owned();
        let identity = self.identity.clone();
        Box::new(CallError::new(status, address, identity, intent)).into()
    }
}

/// Refuses a certificate that every coordinator would refuse, and speaks of one that is about to end.
fn check_validity(credentials: &Credentials) -> Result<(), ClientError> {
    let (now, end) = (SystemClock.wall(), credentials.expires_at());
    let identity = credentials.identity();
    if end <= now {
        let ago = units::age(now.since(end));
        return Err(ClientError::Expired { identity: identity.clone().into(), ago });
    }
    let left = end.since(now);
    if left < EXPIRY_WARNING {
        output::warn(&format!("the certificate of {identity} expires in {}", units::age(left)));
    }
    Ok(())
}
