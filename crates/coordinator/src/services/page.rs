//! Lists are answered in pages. A page has an end in items and one in bytes: clients refuse a message of more than
//! 4 MiB, and a hundred workloads may be more. A token says which list it is of, so that a wrong one is an error, and
//! not a list with things missing.

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

/// The token that goes on behind `last` in a list.
fn token(of: &str, last: &str) -> String {
    let sum = crc32c::crc32c(format!("{of}\n{last}").as_bytes());
    format!("{sum:08x}-{last}")
}

/// Where a token of this list goes on; an empty one at the beginning.
fn behind<'t>(of: &str, asked: &'t str) -> Result<&'t str, Status> {
    let last = asked.split_once('-').map_or("", |(_, last)| last);
    if asked.is_empty() || asked == token(of, last) {
        return Ok(last);
    }
    let text = format!("this is no token of the list of {of}: begin without one");
    Err(status::bad_field("page.token", text))
}

/// Takes one page out of things that are in the order of their names, as messages. `of` says what is listed, with
/// all that narrows it. The second result is the token of the next page, empty on the last one.
pub(super) fn page<T, M: Message>(
    of: &str,
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
    let behind = behind(of, &page.token)?;
    let (mut messages, mut bytes, mut last) = (Vec::new(), 0, String::new());
    let items = items.skip_while(|(name, _)| !page.token.is_empty() && name.as_str() <= behind);
    for (name, item) in items {
        if messages.len() == size {
            return Ok((messages, token(of, &last)));
        }
        let message = message(item);
        bytes += message.encoded_len();
        if bytes > BYTES_MAX && !messages.is_empty() {
            return Ok((messages, token(of, &last)));
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
            let (messages, next) = page("lines", named, asked, message).unwrap();
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
        let status = page("cells", nothing, asked, |cell| cell).unwrap_err();
        assert_eq!(status.message(), "page.size: 1001 is over 1000");
    }

    #[test]
    fn a_token_is_good_for_its_own_list_alone() {
        let list = |list: &str, token: &str| {
            let named = ["ant", "bee-2", "cat"].map(|name| (name.to_owned(), name));
            let asked = Some(pb::Page { size: 2, token: token.to_owned() });
            let cell = |name: &str| pb::Cell { id: name.to_owned(), ..pb::Cell::default() };
            page(list, named.into_iter(), asked, cell)
        };
        let (_, good) = list("cells", "").unwrap();
        let (rest, end) = list("cells", &good).unwrap();
        assert_eq!((rest.len(), rest[0].id.as_str(), end.as_str()), (1, "cat", ""));
        let cut = &good[..good.len() - 1];
        for (other, token) in [
            ("machines", &*good),
            ("cells of dub", &*good),
            ("cells", "bee-2"),
            ("cells", "nonsense"),
            ("cells", "-"),
            ("cells", cut),
        ] {
            let status = list(other, token).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{other} {token}");
            let text =
                format!("page.token: this is no token of the list of {other}: begin without one");
            assert_eq!(status.message(), text);
        }
    }
}
