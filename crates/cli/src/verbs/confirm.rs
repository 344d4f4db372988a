//! Asking before something is changed. The question goes to the standard error: the answer on the standard
//! output may be read by a program.

use std::io::{self, BufRead, IsTerminal};

use super::VerbError;

/// What an empty answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Default {
    Yes,
    No,
}

/// Asks on the terminal; an error where there is none.
pub(crate) fn confirm(
    command: &'static str,
    question: &str,
    default: Default,
) -> Result<bool, VerbError> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(VerbError::NoTerminal { command });
    }
    let choices = if default == Default::Yes { "[Y/n]" } else { "[y/N]" };
    ask(&mut stdin.lock(), &format!("{question} {choices} "), default)
}

/// Asks until the answer is yes or no. The end of the input is a no: nobody said yes.
fn ask(answers: &mut impl BufRead, question: &str, default: Default) -> Result<bool, VerbError> {
    loop {
        anstream::eprint!("{question}");
        let mut line = String::new();
        if answers.read_line(&mut line).map_err(VerbError::Answer)? == 0 {
            anstream::eprintln!();
            return Ok(false);
        }
        match line.trim().to_ascii_lowercase().as_str() {
            "" => return Ok(default == Default::Yes),
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => anstream::eprintln!("Please answer y or n."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for (typed, default, agreed) in [
            ("\n", Default::Yes, true),
            ("\n", Default::No, false),
            ("y\n", Default::No, true),
            ("YES\n", Default::No, true),
            ("n\n", Default::Yes, false),
            ("maybe\nno\n", Default::Yes, false),
            ("", Default::Yes, false),
        ] {
            assert_eq!(ask(&mut typed.as_bytes(), "?", default).unwrap(), agreed, "{typed:?}");
        }
    }
}
