//! Command lines (systemd.service(5), "COMMAND LINES"): how one value of `ExecStart=` becomes programs
//! and arguments, and how variables are put in when a program starts.

use std::collections::BTreeMap;

use super::specifier::Specifiers;
use super::words::{Escapes, Words};
use crate::value::ValueError;

/// The most command lines and arguments that one value may hold.
const ARGUMENTS_MAX: usize = 1_000;

/// What a shell would act on and systemd hands to the program as an argument.
const SHELL_WORDS: [&str; 9] = ["|", "||", "&", "&&", ">", ">>", "<", "2>", "2>&1"];

/// One program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// An absolute path, or a name to search for in `PATH`.
    pub program: String,
    /// The arguments before variables are put in, the zeroth included.
    pub arguments: Vec<String>,
    /// Whether a failure does not count (the prefix `-`).
    pub ignore_failure: bool,
    /// Whether variables are put in (all but those with the prefix `:`).
    pub substitute: bool,
    /// Whether it runs as the unit's user.
    pub privileges: Privileges,
    /// The line that it stands on.
    pub line: u32,
}

/// What `User=` and the sandboxing options do to one program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Privileges {
    /// They apply.
    #[default]
    Unit,
    /// Nothing applies (`+`).
    Full,
    /// All but the change of user applies (`!`).
    KeepUser,
    /// As [`Privileges::KeepUser`], where the kernel has no ambient capabilities (`!!`).
    Ambient,
}

/// The programs of one value, and what to warn of.
#[derive(Debug, Default)]
pub(crate) struct CommandLines {
    pub(crate) commands: Vec<Exec>,
    pub(crate) warnings: Vec<String>,
}

impl Exec {
    /// The arguments, the zeroth included, with the variables of `environment` put in: `${NAME}`
    /// anywhere in a word by its value as it is, `$NAME` as a word of its own by the words of its
    /// value, `$$` by a dollar sign. A variable that is not set is empty.
    pub fn argv(&self, environment: &BTreeMap<String, String>) -> Vec<String> {
        if !self.substitute {
            return self.arguments.clone();
        }
        let mut argv = Vec::with_capacity(self.arguments.len());
        for argument in &self.arguments {
            let name = argument.strip_prefix('$').filter(|name| !name.starts_with(['{', '$']));
            match name {
                Some(name) => argv.extend(split(environment.get(name))),
                None => argv.push(put_in(argument, environment)),
            }
        }
        argv
    }

    /// Reads one value: several command lines if `;` stands between them.
    pub(crate) fn parse(
        value: &str,
        line: u32,
        specifiers: &Specifiers,
    ) -> Result<CommandLines, ValueError> {
        let mut lines = CommandLines::default();
        let mut words = Words::new(value, Escapes::Lenient);
        while let Some(first) = next_program(&mut words)? {
            let (mut exec, own_name) = Self::program(&first, line, specifiers)?;
            while !words.take_token(";") {
                let argument = if words.take_token("\\;") {
                    ";".to_owned()
                } else if let Some(word) = words.next_word()? {
                    specifiers.replace(&word)?
                } else {
                    break;
                };
                if SHELL_WORDS.contains(&argument.as_str()) {
                    lines.warnings.push(format!(
                        "{argument} is handed to the program, because no shell runs: \
                         write /bin/sh -c '…' around the line if a shell is meant"
                    ));
                }
                exec.arguments.push(argument);
            }
            if exec.arguments.len() > ARGUMENTS_MAX || lines.commands.len() >= ARGUMENTS_MAX {
                return Err(ValueError::new(format!(
                    "the line has more than {ARGUMENTS_MAX} arguments: move them into a script"
                )));
            }
            if own_name && exec.arguments.is_empty() {
                return Err(ValueError::new(
                    "the prefix @ needs the name to run under after the program: \
                     write @/bin/program name, or remove the @",
                ));
            }
            lines.commands.push(exec);
        }
        lines.warnings.extend(words.unknown_escapes.iter().map(|sequence| {
            let dollar = if sequence == "\\$" { ", or $$ for a dollar sign" } else { "" };
            format!("{sequence} is no escape sequence and stays as it stands: write \\\\ for a backslash{dollar}")
        }));
        Ok(lines)
    }

    /// Reads the prefixes and the path of a program. Also says whether its zeroth argument is the next
    /// word instead of its path.
    fn program(word: &str, line: u32, specifiers: &Specifiers) -> Result<(Self, bool), ValueError> {
        let mut exec = Self {
            program: String::new(),
            arguments: Vec::new(),
            ignore_failure: false,
            substitute: true,
            privileges: Privileges::Unit,
            line,
        };
        let mut own_name = false;
        let mut path = word;
        loop {
            match (path.chars().next(), exec.privileges) {
                (Some('-'), _) if !exec.ignore_failure => exec.ignore_failure = true,
                (Some('@'), _) if !own_name => own_name = true,
                (Some(':'), _) if exec.substitute => exec.substitute = false,
                (Some('+'), Privileges::Unit) => exec.privileges = Privileges::Full,
                (Some('!'), Privileges::Unit) => exec.privileges = Privileges::KeepUser,
                (Some('!'), Privileges::KeepUser) => exec.privileges = Privileges::Ambient,
                _ => break,
            }
            path = &path[1..];
        }
        exec.program = specifiers.replace(path)?;
        check_program(&exec.program)?;
        if !own_name {
            exec.arguments.push(exec.program.clone());
        }
        Ok((exec, own_name))
    }
}

/// The next word that is no separator.
fn next_program(words: &mut Words<'_>) -> Result<Option<String>, ValueError> {
    while words.take_token(";") {}
    words.next_word()
}

fn check_program(program: &str) -> Result<(), ValueError> {
    let right =
        "write an absolute path such as /usr/bin/env, or a bare name that is searched in PATH";
    let wrong = if program.is_empty() {
        "the program is missing".to_owned()
    } else if program.contains('$') {
        format!("\"{program}\" has a variable in the program's name, where none is put in")
    } else if program.ends_with('/') {
        format!("\"{program}\" is a directory")
    } else if !program.starts_with('/') && program.contains('/') {
        format!("\"{program}\" is a relative path")
    } else if program.chars().any(char::is_control) || program == "." || program == ".." {
        format!("{program:?} is not the name of a program")
    } else {
        return Ok(());
    };
    Err(ValueError::new(format!("{wrong}: {right}")))
}

/// The words of a variable's value; quotes in it hold words together.
fn split(value: Option<&String>) -> Vec<String> {
    let mut words = Words::new(value.map_or("", String::as_str), Escapes::Plain);
    // Plain reading has no errors: quotes may stay open and every escape is known.
    std::iter::from_fn(|| words.next_word().ok().flatten()).collect()
}

/// `word` with `${NAME}` and `$$` replaced.
fn put_in(word: &str, environment: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let name = after.strip_prefix('{').and_then(|named| named.split_once('}'));
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = name {
            out.push_str(environment.get(name).map_or("", String::as_str));
            rest = after;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::service::quote;

    fn specifiers() -> Specifiers {
        Specifiers::new("web@1".parse().unwrap(), true, "host")
    }

    fn commands(value: &str) -> Vec<Exec> {
        Exec::parse(value, 1, &specifiers()).unwrap().commands
    }

    fn argv(value: &str) -> Vec<String> {
        let variables = [("ONE", "one"), ("TWO", "two two"), ("Q", "'a b' c"), ("E", "")];
        let environment = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        commands(value)[0].argv(&environment)
    }

    #[test]
    fn variables_are_put_in_as_in_the_manual() {
        // The examples of systemd.service(5), "COMMAND LINES", and the corners around them.
        for (value, expected) in [
            ("echo $ONE $TWO ${TWO}", vec!["echo", "one", "two", "two", "two two"]),
            ("echo ${ONE}x a$ONE $$ONE $$ a$$b", vec!["echo", "onex", "a$ONE", "$ONE", "$", "a$b"]),
            ("echo $NONE ${NONE} $E ${E}", vec!["echo", "", ""]),
            ("echo $Q ${Q}", vec!["echo", "a b", "c", "'a b' c"]),
            ("echo ${ONE $", vec!["echo", "${ONE"]),
            (":echo $ONE ${ONE} $$", vec!["echo", "$ONE", "${ONE}", "$$"]),
            ("sh -c 'echo %i $$HOME \"$$1\"'", vec!["sh", "-c", "echo 1 $HOME \"$1\""]),
        ] {
            assert_eq!(argv(value), expected, "{value}");
        }
    }

    #[test]
    fn prefixes_and_separators_are_read() {
        let list = commands("-/bin/a x ; @/bin/b name \\; \";\" ;c; ; +!d");
        assert_eq!(list.len(), 3);
        assert!(list[0].ignore_failure && list[0].arguments == ["/bin/a", "x"]);
        assert_eq!((list[1].program.as_str(), list[1].privileges), ("/bin/b", Privileges::Unit));
        assert_eq!(list[1].arguments, ["name", ";", ";", ";c;"]);
        assert_eq!((list[2].program.as_str(), list[2].privileges), ("!d", Privileges::Full));
        assert_eq!(commands("!!-:/bin/a")[0].privileges, Privileges::Ambient);
    }

    #[test]
    fn a_program_is_a_path_or_a_name() {
        for bad in ["./run", "bin/run", "/opt/", "$SHELL -c x", "@/bin/a", "-", "%b", "''"] {
            assert!(Exec::parse(bad, 1, &specifiers()).is_err(), "{bad} was taken");
        }
        let lines = Exec::parse("echo a && echo \\$b", 1, &specifiers()).unwrap();
        assert_eq!(lines.warnings.len(), 2);
    }

    proptest! {
        #[test]
        fn quoted_arguments_come_back(arguments in prop::collection::vec("[^\\x00]{0,20}", 0..6)) {
            let line: Vec<String> = std::iter::once("/bin/a".to_owned())
                .chain(arguments.iter().map(|argument| quote(argument)))
                .collect();
            let list = commands(&line.join(" "));
            prop_assert_eq!(list.len(), 1);
            prop_assert_eq!(&list[0].argv(&BTreeMap::new())[1..], &arguments[..]);
        }

        #[test]
        fn any_value_is_read_without_a_panic(value in "([a-z$%{};'\"\\\\ ]|\\PC|\\\\[xuU0-9a-f]{1,9}){0,40}") {
            if let Ok(lines) = Exec::parse(&value, 1, &specifiers()) {
                for exec in lines.commands {
                    exec.argv(&BTreeMap::from([("a".to_owned(), value.clone())]));
                }
            }
        }
    }
}
