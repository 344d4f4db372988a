//! Splitting a value into words as systemd's `extract_first_word` does, and writing words so that they
//! read back.

use std::fmt::Write as _;

use crate::value::ValueError;

/// What separates words.
const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];

/// Reads words off the front of a value, one at a time.
#[derive(Debug, Clone)]
pub(crate) struct Words<'a> {
    rest: &'a str,
    escapes: Escapes,
    /// Escape sequences that are not C's, kept as they stand.
    pub(crate) unknown_escapes: Vec<String>,
}

/// What a backslash does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escapes {
    /// It begins a sequence as in C; one that is not known stays as it stands (command lines).
    Lenient,
    /// It begins a sequence as in C; one that is not known is an error (`Environment=`).
    Strict,
    /// It makes the next character ordinary, and quotes may stay open (values of variables).
    Plain,
}

impl<'a> Words<'a> {
    /// The words of `text`.
    pub(crate) fn new(text: &'a str, escapes: Escapes) -> Self {
        Self { rest: text.trim_start_matches(BLANK), escapes, unknown_escapes: Vec::new() }
    }

    /// Takes `token` if it stands next as an unquoted word of its own.
    pub(crate) fn take_token(&mut self, token: &str) -> bool {
        let after = self.rest.strip_prefix(token);
        match after.filter(|rest| rest.is_empty() || rest.starts_with(BLANK)) {
            Some(rest) => {
                self.rest = rest.trim_start_matches(BLANK);
                true
            }
            None => false,
        }
    }

    /// The next word, unquoted and with its escapes replaced.
    pub(crate) fn next_word(&mut self) -> Result<Option<String>, ValueError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        // Escapes can give single bytes, which only together are UTF-8.
        let mut word: Vec<u8> = Vec::new();
        let mut quote: Option<char> = None;
        let mut rest = self.rest;
        while let Some(c) = rest.chars().next() {
            let after = &rest[c.len_utf8()..];
            if c == '\\' {
                rest = self.escape(after, &mut word)?;
                continue;
            }
            match quote {
                Some(open) if c == open => quote = None,
                None if c == '"' || c == '\'' => quote = Some(c),
                None if BLANK.contains(&c) => break,
                _ => word.extend_from_slice(&rest.as_bytes()[..c.len_utf8()]),
            }
            rest = after;
        }
        if let (Some(open), false) = (quote, self.escapes == Escapes::Plain) {
            return Err(ValueError::new(format!(
                "a {open} is opened and never closed: close it, or write \\{open} for the character itself"
            )));
        }
        let written = &self.rest[..self.rest.len() - rest.len()];
        self.rest = rest.trim_start_matches(BLANK);
        let word = String::from_utf8(word).map_err(|_| {
            ValueError::new(format!(
                "the escapes of \"{written}\" give bytes that are not UTF-8: write the character itself"
            ))
        })?;
        Ok(Some(word))
    }

    /// Reads what follows a backslash into `word`, and returns what follows that.
    fn escape<'t>(&mut self, after: &'t str, word: &mut Vec<u8>) -> Result<&'t str, ValueError> {
        let Some(c) = after.chars().next() else {
            if self.escapes != Escapes::Plain {
                return Err(ValueError::new(
                    "the value ends in a lone backslash: write \\\\ for one, or remove what follows it \
                     if the line is to go on",
                ));
            }
            return Ok(after);
        };
        if self.escapes != Escapes::Plain {
            if let Some((bytes, length)) = c_escape(after) {
                word.extend_from_slice(&bytes);
                return Ok(&after[length..]);
            }
            if self.escapes == Escapes::Strict {
                return Err(ValueError::new(format!(
                    "\\{c} is not an escape sequence: write \\\\ for a backslash"
                )));
            }
            self.unknown_escapes.push(format!("\\{c}"));
            word.push(b'\\');
        }
        word.extend_from_slice(&after.as_bytes()[..c.len_utf8()]);
        Ok(&after[c.len_utf8()..])
    }
}

/// The bytes that a C escape stands for, and its length without the backslash. None stands for NUL.
fn c_escape(after: &str) -> Option<(Vec<u8>, usize)> {
    let simple = |byte: u8| Some((vec![byte], 1));
    let number = |from: usize, digits: usize, radix: u32| {
        let text = after.get(from..from + digits)?;
        let all = text.chars().all(|c| c.is_digit(radix));
        u32::from_str_radix(text, radix).ok().filter(|value| all && *value != 0)
    };
    match after.chars().next()? {
        'a' => simple(7),
        'b' => simple(8),
        'f' => simple(12),
        'n' => simple(b'\n'),
        'r' => simple(b'\r'),
        't' => simple(b'\t'),
        'v' => simple(11),
        's' => simple(b' '),
        c @ ('\\' | '"' | '\'') => simple(u8::try_from(c).ok()?),
        'x' => Some((vec![u8::try_from(number(1, 2, 16)?).ok()?], 3)),
        'u' => Some((char::from_u32(number(1, 4, 16)?)?.to_string().into_bytes(), 5)),
        'U' => Some((char::from_u32(number(1, 8, 16)?)?.to_string().into_bytes(), 9)),
        '0'..='7' => Some((vec![u8::try_from(number(0, 3, 8)?).ok()?], 3)),
        _ => None,
    }
}

/// Writes one argument of a command line so that systemd reads exactly it: quoted where needed, with
/// `$` and `%` doubled.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '$' | '%' => quoted.extend([c, c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_ascii_control() => {
                // Writing to a string cannot fail.
                let _ = write!(quoted, "\\x{:02x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, escapes: Escapes) -> Result<Vec<String>, ValueError> {
        let mut words = Words::new(text, escapes);
        std::iter::from_fn(|| words.next_word().transpose()).collect()
    }

    #[test]
    fn words_split_as_systemd_splits_them() {
        for (text, expected) in [
            ("a  b\tc ", vec!["a", "b", "c"]),
            ("'a b' \"c d\" ''", vec!["a b", "c d", ""]),
            ("a'b c'd", vec!["ab cd"]),
            (r#""a\"b" 'c"d' \x41\102\u00e9\s\n"#, vec!["a\"b", "c\"d", "ABé \n"]),
            (r"\xc3\xa9", vec!["é"]),
            (r"echo \$x \q", vec!["echo", r"\$x", r"\q"]),
        ] {
            assert_eq!(all(text, Escapes::Lenient).unwrap(), expected, "{text}");
        }
        for bad in ["'a", "\"", "a\\", r"\xff", r"\xc3"] {
            assert!(all(bad, Escapes::Lenient).is_err(), "{bad} was taken");
        }
        assert!(all(r"\q", Escapes::Strict).is_err());
        assert_eq!(all(r#"a\ b "c d"#, Escapes::Plain).unwrap(), ["a b", "c d"]);
    }
}
