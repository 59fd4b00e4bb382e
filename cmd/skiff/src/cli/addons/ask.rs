//! Questions on a terminal about what can be set of an addon.

use std::{collections::BTreeMap, io};

use skiff_addons::{Addon, Value};
use skiff_config::AddonWish;

use crate::failure::Failure;

/// Asks for each value; an empty answer keeps what is.
pub(super) fn ask(addon: &Addon, wish: &AddonWish) -> Result<BTreeMap<String, String>, Failure> {
    let mut answers = BTreeMap::new();
    for value in &addon.values {
        let now = wish.values.get(&value.name).or(value.default.as_ref()).cloned().unwrap_or_default();
        if let Some(answer) = ask_one(value, &now, &mut io::stdin().lock(), &mut io::stderr())? {
            answers.insert(value.name.clone(), answer);
        }
    }
    Ok(answers)
}

/// Asks until the answer is one.
fn ask_one(
    value: &Value,
    now: &str,
    answers: &mut impl io::BufRead,
    questions: &mut impl io::Write,
) -> Result<Option<String>, Failure> {
    let stopped = || Failure::usage("the questions were not answered to their end; nothing was set", "");
    loop {
        write!(questions, "{} ({}) [{now}]: ", value.description, value.takes())
            .and_then(|()| questions.flush())
            .map_err(|_| stopped())?;
        let mut line = String::new();
        if answers.read_line(&mut line).map_err(|_| stopped())? == 0 {
            // The next line of the terminal is not the question's.
            let _ = writeln!(questions);
            return Err(stopped());
        }
        let answer = line.trim();
        if answer.is_empty() {
            return Ok(None);
        }
        match value.check(answer) {
            Ok(()) => return Ok(Some(answer.to_owned())),
            Err(problem) => writeln!(questions, "{problem}").map_err(|_| stopped())?,
        }
    }
}

#[cfg(test)]
mod tests {
    use skiff_addons::Catalog;

    use super::*;

    fn answer(text: &str) -> (Result<Option<String>, Failure>, String) {
        let catalog = Catalog::built_in().unwrap();
        let port = catalog.find("registry").unwrap().values.iter().find(|value| value.name == "port").unwrap().clone();
        let mut questions = Vec::new();
        let answer = ask_one(&port, "5000", &mut text.as_bytes(), &mut questions);
        (answer, String::from_utf8(questions).unwrap())
    }

    #[test]
    fn a_question_is_asked_until_the_answer_fits() {
        let (given, asked) = answer("0\nhttp\n5001\n");
        assert_eq!(given.unwrap().as_deref(), Some("5001"));
        assert_eq!(asked.matches("Port of every node (port) [5000]: ").count(), 3);
        assert!(asked.contains("`0` is not a port: use 1 to 65535\n"), "{asked}");
    }

    #[test]
    fn no_answer_keeps_what_is_and_the_end_sets_nothing() {
        assert_eq!(answer("\n").0.unwrap(), None);
        assert_eq!(answer("").0.unwrap_err().exit.0, 14);
    }
}
