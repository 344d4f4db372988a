//! Lists are answered in pages. A page has an end in items and one in bytes: clients refuse a message of more than
//! 4 MiB, and a hundred workloads may be more.

use kato_proto::Message;
use kato_proto::v1 as pb;
use tonic::Status;

use crate::status;

/// Items on a page that asks for no number, and the most that one may ask for.
const ITEMS_DEFAULT: usize = 100;
const ITEMS_MAX: usize = 1_000;
/// The most that the items of one page weigh, unless the first one weighs more. With the rest of the answer that is
/// well below the 4 MiB that gRPC's libraries take when nobody tells them otherwise.
const BYTES_MAX: usize = 2 << 20;

/// Takes one page out of things that are in the order of their names, as messages. The token is the last name of the
/// page before; the second result is the token of the next page, empty on the last one.
pub(super) fn page<T, M: Message>(
    items: impl Iterator<Item = (String, T)>,
    page: Option<pb::Page>,
    message: impl Fn(T) -> M,
) -> Result<(Vec<M>, String), Status> {
    let page = page.unwrap_or_default();
    let size = match page.size as usize {
        0 => ITEMS_DEFAULT,
        size @ 1..=ITEMS_MAX => size,
        size => {
            return Err(status::bad_field("page.size", format!("{size} is over {ITEMS_MAX}")));
        }
    };
    let (mut messages, mut bytes, mut last) = (Vec::new(), 0, String::new());
    let items = items.skip_while(|(name, _)| !page.token.is_empty() && *name <= page.token);
    for (name, item) in items {
        if messages.len() == size {
            return Ok((messages, last));
        }
        let message = message(item);
        bytes += message.encoded_len();
        if bytes > BYTES_MAX && !messages.is_empty() {
            return Ok((messages, last));
        }
        messages.push(message);
        last = name;
    }
    Ok((messages, String::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads all pages of so many items of so many bytes each, and tells how many were on each.
    fn pages(items: usize, bytes: usize, size: u32) -> Vec<usize> {
        let (mut lengths, mut seen, mut token) = (Vec::new(), Vec::new(), String::new());
        loop {
            let named = (0..items).map(|number| (format!("{number:04}"), number));
            let asked = Some(pb::Page { size, token: token.clone() });
            let message = |number: usize| pb::LogLine {
                at_unix_ms: number as u64,
                text: "x".repeat(bytes),
                ..pb::LogLine::default()
            };
            let (messages, next) = page(named, asked, message).unwrap();
            lengths.push(messages.len());
            seen.extend(messages.iter().map(|line| line.at_unix_ms));
            if next.is_empty() {
                assert!(seen.iter().copied().eq(0..items as u64), "{seen:?}");
                return lengths;
            }
            token = next;
        }
    }

    #[test]
    fn a_page_ends_by_number_or_by_weight_and_has_one_item_at_least() {
        for (items, bytes, size, expected) in [
            (0, 0, 0, vec![0]),
            (100, 10, 0, vec![100]),
            (101, 10, 0, vec![100, 1]),
            (5, 10, 2, vec![2, 2, 1]),
            (70, 62 * 1024, 0, vec![33, 33, 4]),
            (70, 62 * 1024, 1_000, vec![33, 33, 4]),
            (3, BYTES_MAX + 1, 0, vec![1, 1, 1]),
        ] {
            assert_eq!(pages(items, bytes, size), expected, "{items} of {bytes} bytes, {size}");
        }
    }

    #[test]
    fn a_page_of_too_many_is_refused() {
        let asked = Some(pb::Page { size: 1_001, token: String::new() });
        let nothing = std::iter::empty::<(String, pb::Cell)>();
        let status = page(nothing, asked, |cell| cell).unwrap_err();
        assert_eq!(status.message(), "page.size: 1001 is over 1000");
    }
}
