//! DNS messages as bytes: building questions, matching answers to them, fitting answers into a datagram.

use hickory_proto::{
    ProtoError,
    op::{Edns, Message, MessageType, OpCode, Query},
};

/// What fits into a UDP datagram when the client says nothing (RFC 1035).
pub(crate) const PLAIN_UDP_SIZE: usize = 512;
/// The payload size we announce ourselves; it fits into any real path without fragments.
pub(crate) const OUR_UDP_SIZE: u16 = 1232;
/// The largest UDP answer we send, whatever the client announces.
const MAX_UDP_SIZE: usize = 4096;
/// The largest message at all.
pub(crate) const MAX_TCP_SIZE: usize = u16::MAX as usize;

/// A recursive question with our buffer size.
pub(crate) fn question(query: Query, dnssec_ok: bool, checking_disabled: bool) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.metadata.checking_disabled = checking_disabled;
    message.add_query(query);
    let mut edns = Edns::new();
    edns.set_max_payload(OUR_UDP_SIZE).set_dnssec_ok(dnssec_ok);
    message.set_edns(edns);
    message
}

/// Whether `reply` answers `question`, and not a question that somebody else made up.
pub(crate) fn answers(reply: &Message, question: &Message) -> bool {
    reply.metadata.message_type == MessageType::Response
        && reply.metadata.op_code == OpCode::Query
        && reply.metadata.id == question.metadata.id
        && match (reply.queries.first(), question.queries.first()) {
            (Some(got), Some(asked)) => {
                got.name() == asked.name()
                    && got.query_type() == asked.query_type()
                    && got.query_class() == asked.query_class()
            }
            // Servers that refuse a question as a whole need not repeat it.
            (None, _) => reply.answers.is_empty(),
            _ => false,
        }
}

/// The size that an answer to `request` may have over UDP.
pub(crate) fn udp_limit(request: &Message) -> usize {
    match &request.edns {
        Some(edns) => usize::from(edns.max_payload()).clamp(PLAIN_UDP_SIZE, MAX_UDP_SIZE),
        None => PLAIN_UDP_SIZE,
    }
}

/// Encodes `message` into at most `limit` bytes. What is too long first loses its additional records,
/// which nobody asked for, then answers; the latter is marked, so that the client asks again over TCP.
pub(crate) fn encode(mut message: Message, limit: usize) -> Result<Vec<u8>, ProtoError> {
    let bytes = message.to_vec()?;
    if bytes.len() <= limit {
        return Ok(bytes);
    }
    message.additionals.clear();
    let bytes = message.to_vec()?;
    if bytes.len() <= limit {
        return Ok(bytes);
    }
    message.metadata.truncation = true;
    message.authorities.clear();
    let (mut fits, mut too_many) = (0, message.answers.len());
    let all = std::mem::take(&mut message.answers);
    while too_many - fits > 1 {
        let middle = fits.midpoint(too_many);
        message.answers = all[..middle].to_vec();
        if message.to_vec()?.len() <= limit {
            fits = middle;
        } else {
            too_many = middle;
        }
    }
    message.answers = all[..fits].to_vec();
    message.to_vec()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_proto::rr::{Name, RData, Record, RecordType, rdata::A};

    use super::*;

    fn reply(answers: usize, additionals: usize) -> Message {
        let name = Name::from_ascii("web.default.svc.cluster.local.").unwrap();
        let mut message = Message::response(7, OpCode::Query);
        message.add_query(Query::query(name.clone(), RecordType::A));
        let record = |i: usize| {
            let address = Ipv4Addr::from(0x0a00_0000 + u32::try_from(i).unwrap());
            Record::from_rdata(name.clone(), 5, RData::A(A(address)))
        };
        message.add_answers((0..answers).map(record));
        message.add_additionals((0..additionals).map(record));
        message.set_edns(Edns::new());
        message
    }

    fn decoded(message: Message, limit: usize) -> (usize, Message) {
        let bytes = encode(message, limit).unwrap();
        (bytes.len(), Message::from_vec(&bytes).unwrap())
    }

    #[test]
    fn a_short_answer_is_sent_whole() {
        let (_, message) = decoded(reply(3, 3), 512);
        assert_eq!((message.answers.len(), message.additionals.len()), (3, 3));
        assert!(!message.metadata.truncation);
    }

    #[test]
    fn additional_records_go_first_and_without_a_mark() {
        let (size, message) = decoded(reply(3, 100), 512);
        assert!(size <= 512);
        assert_eq!((message.answers.len(), message.additionals.len()), (3, 0));
        assert!(!message.metadata.truncation);
    }

    #[test]
    fn a_long_answer_is_cut_and_marked_and_keeps_its_edns() {
        let (size, message) = decoded(reply(100, 0), 512);
        assert!(size <= 512);
        assert!(message.metadata.truncation);
        assert!(message.answers.len() > 20, "{} answers", message.answers.len());
        assert!(message.edns.is_some());
    }

    #[test]
    fn a_reply_must_repeat_the_question() {
        let asked = question(Query::query(Name::from_ascii("a.test.").unwrap(), RecordType::A), false, false);
        let mut reply = Message::response(asked.metadata.id, OpCode::Query);
        reply.add_queries(asked.queries.clone());
        assert!(answers(&reply, &asked));

        let mut other_id = reply.clone();
        other_id.metadata.id = asked.metadata.id.wrapping_add(1);
        assert!(!answers(&other_id, &asked));

        let mut other_name = reply.clone();
        other_name.queries = vec![Query::query(Name::from_ascii("b.test.").unwrap(), RecordType::A)];
        assert!(!answers(&other_name, &asked));
        assert!(!answers(&asked, &asked), "a question is no reply");
    }

    #[test]
    fn the_buffer_size_of_the_client_is_kept_within_reason() {
        let mut request = Message::query();
        assert_eq!(udp_limit(&request), 512);
        for (announced, limit) in [(100, 512), (1400, 1400), (65000, 4096)] {
            let mut edns = Edns::new();
            edns.set_max_payload(announced);
            request.set_edns(edns);
            assert_eq!(udp_limit(&request), limit);
        }
    }
}
