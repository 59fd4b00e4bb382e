//! From request to response. Most requests are answered at once; those that need an upstream are handed
//! back half done, so that the caller can finish them on the side.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use hickory_proto::{
    op::{Edns, Message, Metadata, Query, ResponseCode},
    rr::{DNSClass, Record, RecordType},
};

use super::{
    forward::Forwarder,
    server::{Answers, Step},
    state::State,
    zone::Outcome,
};
use crate::wire;

/// Aliases are followed this far.
const MAX_ALIASES: usize = 8;

/// Answers requests from the zone and, for foreign names, through the forwarder.
pub(super) struct Responder {
    state: Arc<State>,
    forwarder: Arc<Forwarder>,
    turn: AtomicUsize,
}

/// A response that lacks what an upstream has to say.
pub(super) struct Pending {
    response: Message,
    question: Query,
    dnssec_ok: bool,
}

impl Responder {
    pub(super) fn new(state: Arc<State>, forwarder: Arc<Forwarder>) -> Self {
        Self { state, forwarder, turn: AtomicUsize::new(0) }
    }

    /// Answers `question` from the zone, following aliases until one leads outside.
    fn advance(&self, mut response: Message, mut question: Query, dnssec_ok: bool) -> Step<Pending> {
        for _ in 0..MAX_ALIASES {
            let kind = question.query_type();
            let outcome = self.state.read(|zone| zone.lookup(question.name(), kind));
            if outcome == Outcome::Foreign {
                return self.foreign(response, question, dnssec_ok);
            }
            if !self.state.is_complete() {
                // Saying that a name does not exist would be a lie that resolvers believe.
                response.metadata.response_code = ResponseCode::ServFail;
                return Step::Done(response);
            }
            response.metadata.authoritative = true;
            match outcome {
                Outcome::Found { mut answers, additionals } => {
                    self.take_turns(&mut answers);
                    response.answers.append(&mut answers);
                    response.additionals = additionals;
                    return Step::Done(response);
                }
                Outcome::NoData(soa) => {
                    response.add_authority(soa);
                    return Step::Done(response);
                }
                Outcome::NxDomain(soa) => {
                    response.metadata.response_code = ResponseCode::NXDomain;
                    response.add_authority(soa);
                    return Step::Done(response);
                }
                Outcome::Alias { record, target } => {
                    response.add_answer(record);
                    question = Query::query(target, kind);
                }
                Outcome::Foreign => return self.foreign(response, question, dnssec_ok),
            }
        }
        // Aliases that lead in a circle.
        response.metadata.response_code = ResponseCode::ServFail;
        Step::Done(response)
    }

    fn foreign(&self, mut response: Message, question: Query, dnssec_ok: bool) -> Step<Pending> {
        if self.forwarder.catch_probe(question.name()) {
            response.metadata.response_code = ResponseCode::Refused;
            return Step::Done(response);
        }
        match self.forwarder.cached(&question, dnssec_ok, response.metadata.checking_disabled) {
            Some(reply) => {
                merge(&mut response, reply);
                Step::Done(response)
            }
            None => Step::Later(Pending { response, question, dnssec_ok }),
        }
    }

    /// Lets another address be the first one each time, since many clients take no other.
    fn take_turns(&self, answers: &mut [Record]) {
        let addresses = |record: &Record| matches!(record.record_type(), RecordType::A | RecordType::AAAA);
        if answers.len() > 1 && answers.iter().all(addresses) {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            answers.rotate_left(turn % answers.len());
        }
    }
}

impl Answers for Responder {
    type Rest = Pending;

    fn begin(&self, request: &Message) -> Step<Pending> {
        match open(request, true) {
            Ok(Opened { response, question, dnssec_ok }) => self.advance(response, question, dnssec_ok),
            Err(refusal) => Step::Done(*refusal),
        }
    }

    /// Asks the upstreams for what is missing.
    async fn finish(&self, mut pending: Pending) -> Message {
        let checking_disabled = pending.response.metadata.checking_disabled;
        match self.forwarder.ask(&pending.question, pending.dnssec_ok, checking_disabled).await {
            Some(reply) => merge(&mut pending.response, reply),
            None => pending.response.metadata.response_code = ResponseCode::ServFail,
        }
        pending.response
    }
}

/// A query that makes sense, and the response to it, still without answers.
pub(crate) struct Opened {
    /// The response.
    pub(crate) response: Message,
    /// What is asked.
    pub(crate) question: Query,
    /// Whether signatures are wanted.
    pub(crate) dnssec_ok: bool,
}

/// Begins the response to a query. One that is not answered here has its whole response at once.
pub(crate) fn open(request: &Message, recursion_available: bool) -> Result<Opened, Box<Message>> {
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.metadata = Metadata::response_from_request(&request.metadata);
    response.metadata.recursion_available = recursion_available;
    response.queries.clone_from(&request.queries);
    let dnssec_ok = request.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok);
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(wire::OUR_UDP_SIZE).set_dnssec_ok(dnssec_ok);
        response.set_edns(edns);
    }
    if let Some(code) = refusal(request) {
        response.metadata.response_code = code;
        return Err(Box::new(response));
    }
    Ok(Opened { response, question: request.queries[0].clone(), dnssec_ok })
}

/// Why a query is not answered at all, if so.
fn refusal(request: &Message) -> Option<ResponseCode> {
    if request.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        return Some(ResponseCode::BADVERS);
    }
    let [question] = request.queries.as_slice() else { return Some(ResponseCode::FormErr) };
    match (question.query_class(), question.query_type()) {
        (_, RecordType::AXFR | RecordType::IXFR) => Some(ResponseCode::Refused),
        (DNSClass::IN | DNSClass::ANY, _) => None,
        _ => Some(ResponseCode::Refused),
    }
}

/// Adds an upstream's reply to a response that may already hold aliases leading to it.
fn merge(response: &mut Message, reply: Message) {
    response.metadata.response_code = reply.metadata.response_code;
    response.metadata.authentic_data = reply.metadata.authentic_data && response.answers.is_empty();
    response.answers.extend(reply.answers);
    response.authorities.extend(reply.authorities);
    response.additionals.extend(reply.additionals);
}
