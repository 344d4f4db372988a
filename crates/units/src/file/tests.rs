//! The reader against systemd.syntax(7), and properties over any text.

use proptest::prelude::*;

use super::*;

/// Section, key and value of every assignment: what a file says, without where it says it.
fn content(file: &UnitFile) -> Vec<(String, Vec<(String, String)>)> {
    let pairs = |section: &Section| {
        section.entries.iter().map(|e| (e.key.clone(), e.value.clone())).collect()
    };
    file.sections.iter().map(|section| (section.name.clone(), pairs(section))).collect()
}

fn parsed(text: &str) -> UnitFile {
    UnitFile::parse("a.service", text).unwrap()
}

fn entry(key: &str, value: &str, line: u32) -> Entry {
    Entry { key: key.to_owned(), value: value.to_owned(), line }
}

#[test]
fn the_example_of_the_manual_reads_as_it_says() {
    // systemd.syntax(7), examples 1 and 2, with line numbers kept across comments.
    let file = parsed(
        "[Section A]\nKeyOne=value 1\nKeyTwo=value 2\n\n# a comment\n\n[Section B]\n\
         Setting=\"something\" \"some thing\" \"…\"\nKeyTwo=value 2 \\\n       value 2 continued\n\n\
         [Section C]\nKeyThree=value 3\\\n# this line is ignored\n; this line is ignored too\n\
         \x20      value 3 continued\nLast = x \n",
    );
    assert_eq!(
        file.sections[0].entries,
        [entry("KeyOne", "value 1", 2), entry("KeyTwo", "value 2", 3)]
    );
    assert_eq!(
        file.sections[1].entries[1],
        entry("KeyTwo", "value 2         value 2 continued", 9)
    );
    assert_eq!(
        file.sections[2].entries,
        [entry("KeyThree", "value 3        value 3 continued", 13), entry("Last", "x", 17)]
    );
}

#[test]
fn an_empty_assignment_resets_a_list_and_a_value() {
    let file = parsed("[S]\nA=1\nA=2\nA=\nA=3\nB=1\nB=\n[T]\nA=9\n[S]\nA=4\n");
    let list: Vec<&str> = file.list("S", "A").iter().map(|entry| entry.value.as_str()).collect();
    assert_eq!(list, ["3", "4"]);
    assert_eq!(file.last("S", "A").map(|entry| entry.line), Some(11));
    assert_eq!(file.last("S", "B"), None);
}

#[test]
fn line_ends_and_backslashes_are_those_of_systemd() {
    let file = parsed("\u{feff}[S]\r\nA=1\rB=2\r\n\r\nC=\\\\\nD=a\\\n\nE=b\\");
    assert_eq!(
        file.sections[0].entries,
        [
            entry("A", "1", 2),
            entry("B", "2", 3),
            entry("C", "\\\\", 5),
            entry("D", "a", 6),
            entry("E", "b", 8)
        ]
    );
}

#[test]
fn bytes_that_are_not_text_are_found_on_their_line() {
    assert_eq!(decode("a.service", b"[S]\nA=b\n").unwrap(), "[S]\nA=b\n");
    let findings = decode("a.service", b"[S]\nA=\xff\n").unwrap_err();
    assert_eq!(
        findings[0].to_string(),
        "a.service:2: the line is not UTF-8: save the file in that encoding"
    );
}

#[test]
fn limits_are_findings() {
    let large = "#".repeat(UNIT_BYTES_MAX + 1);
    assert_eq!(
        UnitFile::parse("a.service", &large).unwrap_err()[0].to_string(),
        "a.service: the file has 65537 bytes; the limit is 65536: move data out of the unit"
    );
    let many = format!("[S]\n{}", "A=1\n".repeat(ENTRIES_MAX + 5));
    let (file, findings) = UnitFile::read("a.service", &many);
    assert_eq!(file.sections[0].entries.len(), ENTRIES_MAX);
    assert_eq!(
        findings.finish()[0].to_string(),
        "a.service:2002: the file has more than 2000 assignments: remove some"
    );
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>()) {
        let _ = UnitFile::read("a.service", &text);
    }

    #[test]
    fn text_like_a_unit_file_prints_and_reads_back(
        text in "(\\[[A-Z]{1,3}\\]?|[AB]=[ab\\\\ \"']{0,6}|[#;x\\\\ =]{0,3}|\\n|\\r|\\\\\n){0,40}",
    ) {
        let (file, _) = UnitFile::read("a.service", &text);
        let again = UnitFile::parse("a.service", &file.to_string());
        prop_assert_eq!(again.map(|again| content(&again)), Ok(content(&file)));
    }
}
