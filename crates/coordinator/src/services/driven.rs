//! A stream that drives the work which fills it: no task of its own, and when the client goes both end.

use std::pin::Pin;

use futures_util::Stream;
use tokio_stream::wrappers::ReceiverStream;

/// The items, and the work.
pub(super) struct Driven<T> {
    pub(super) work: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    pub(super) items: ReceiverStream<T>,
}

impl<T> Stream for Driven<T> {
    type Item = T;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<T>> {
        if let Some(work) = &mut self.work
            && work.as_mut().poll(cx).is_ready()
        {
            self.work = None;
        }
        Pin::new(&mut self.items).poll_next(cx)
    }
}
