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
                // The whole is as old as its oldest page.
                let age = |read: &Option<v1::ReadInfo>| read.as_ref().map(|read| read.age_ms);
                if age(&next.read) > age(&self.read) {
                    self.read = next.read;
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_as_old_as_its_oldest_page() {
        let page = |age_ms, token: &str| v1::ListCellsResponse {
            read: Some(v1::ReadInfo { age_ms, ..v1::ReadInfo::default() }),
            cells: vec![v1::Cell::default()],
            next_page_token: token.to_owned(),
        };
        let (whole, token) = merge(None, page(40, "a"));
        assert_eq!(token, "a");
        let (whole, _) = merge(Some(whole), page(9_000, "b"));
        let (whole, token) = merge(Some(whole), page(70, ""));
        assert_eq!((whole.cells.len(), whole.read.unwrap().age_ms, &*token), (3, 9_000, ""));
    }
}
