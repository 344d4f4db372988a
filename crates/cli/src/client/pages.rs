//! Lists come in pages; whoever asks wants the whole.

use kato_proto::v1;

/// The largest page that the API gives.
pub(super) const PAGE_SIZE: u32 = 1000;

/// An answer that is one page of a list.
pub(crate) trait Paged: Sized {
    /// Takes the token of the next page out.
    fn take_token(&mut self) -> String;

    /// Adds the items of the next page.
    fn append(&mut self, next: Self);
}

/// The pages so far with one more, and the token of the next.
pub(super) fn merge<L: Paged>(whole: Option<L>, mut page: L) -> (L, String) {
    let token = page.take_token();
    let merged = match whole {
        Some(mut whole) => {
            whole.append(page);
            whole
        }
        None => page,
    };
    (merged, token)
}

macro_rules! paged {
    ($($answer:ident.$items:ident),+ $(,)?) => {$(
        impl Paged for v1::$answer {
            fn take_token(&mut self) -> String {
                std::mem::take(&mut self.next_page_token)
            }

            fn append(&mut self, next: Self) {
                self.$items.extend(next.$items);
            }
        }
    )+};
}

paged! {
    ListWorkloadsResponse.workloads,
    ListPlacementsResponse.instances,
    ListDatacentersResponse.datacenters,
    ListCellsResponse.cells,
    ListMachinesResponse.machines,
    ListOffersResponse.offers,
    ListEventsResponse.events,
}
