//! Which of the candidate names wins, and how its records read. Pure.

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{Name, RData, Record, RecordType},
};

/// Why a name has no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Reason {
    /// None of the candidates exists.
    #[error("no such name")]
    NotFound,
    /// A candidate exists, but not with records of this type.
    #[error("the name has no records of this type")]
    NoRecords,
    /// No server gave a useful answer.
    #[error("no answer from any name server")]
    NoAnswer,
}

/// Tries the candidates in order until one has records, and returns those as lines of text.
pub(super) fn resolve(
    candidates: &[Name],
    kind: RecordType,
    ask: impl Fn(&Name) -> Option<Message>,
) -> Result<Vec<String>, Reason> {
    let mut reason = Reason::NotFound;
    for name in candidates {
        match ask(name) {
            None => reason = Reason::NoAnswer,
            Some(reply) => {
                let lines: Vec<String> =
                    reply.answers.iter().filter(|record| record.record_type() == kind).map(line).collect();
                if !lines.is_empty() {
                    return Ok(lines);
                }
                if reply.metadata.response_code == ResponseCode::NoError && reason == Reason::NotFound {
                    reason = Reason::NoRecords;
                }
            }
        }
    }
    Err(reason)
}

fn line(record: &Record) -> String {
    match &record.data {
        RData::A(a) => a.0.to_string(),
        RData::AAAA(aaaa) => aaaa.0.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, net::Ipv4Addr};

    use hickory_proto::{op::OpCode, rr::rdata::A};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn reply(code: ResponseCode, answers: &[RData]) -> Message {
        let mut message = Message::response(1, OpCode::Query);
        message.metadata.response_code = code;
        message.add_answers(answers.iter().map(|data| Record::from_rdata(name("a."), 5, data.clone())));
        message
    }

    #[test]
    fn the_first_candidate_with_records_wins() {
        let asked = RefCell::new(Vec::new());
        let found = resolve(&[name("x.a."), name("x.b."), name("x.c.")], RecordType::A, |name| {
            asked.borrow_mut().push(name.to_string());
            Some(match asked.borrow().len() {
                1 => reply(ResponseCode::NXDomain, &[]),
                _ => reply(ResponseCode::NoError, &[RData::A(A(Ipv4Addr::new(10, 0, 0, 1)))]),
            })
        });
        assert_eq!(found, Ok(vec!["10.0.0.1".to_owned()]));
        assert_eq!(asked.into_inner(), ["x.a.", "x.b."]);
    }

    #[test]
    fn reasons_for_nothing_are_told_apart() {
        let candidates = [name("x.a."), name("x.b.")];
        let all = |reply: Option<Message>| resolve(&candidates, RecordType::AAAA, |_| reply.clone());
        assert_eq!(all(Some(reply(ResponseCode::NXDomain, &[]))), Err(Reason::NotFound));
        assert_eq!(all(None), Err(Reason::NoAnswer));
        let other_type = reply(ResponseCode::NoError, &[RData::A(A(Ipv4Addr::LOCALHOST))]);
        assert_eq!(all(Some(other_type)), Err(Reason::NoRecords));
    }
}
