//! A small cache of what upstream servers said. Pure: the caller brings the time.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{DNSClass, RData, RecordType},
};

/// No positive answer is kept longer, so that a change outside is seen soon.
const MAX_POSITIVE: Duration = Duration::from_secs(300);
/// No negative answer is kept longer.
const MAX_NEGATIVE: Duration = Duration::from_secs(30);

/// What makes two questions the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    name: String,
    kind: RecordType,
    class: DNSClass,
    dnssec_ok: bool,
    checking_disabled: bool,
}

impl Key {
    /// The key of a question asked with these two flags.
    pub(crate) fn new(query: &Query, dnssec_ok: bool, checking_disabled: bool) -> Self {
        Self {
            name: query.name().to_lowercase().to_ascii(),
            kind: query.query_type(),
            class: query.query_class(),
            dnssec_ok,
            checking_disabled,
        }
    }
}

/// Answers by question, at most `capacity` of them.
#[derive(Debug)]
pub(crate) struct Cache {
    entries: HashMap<Key, Entry>,
    capacity: usize,
}

#[derive(Debug)]
struct Entry {
    reply: Arc<Message>,
    stored: Instant,
    expires: Instant,
}

impl Cache {
    /// An empty cache. With a capacity of zero it stays empty.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), capacity }
    }

    /// The answer to a question, if one is still good at `now`; its times to live are lowered by its age.
    pub(crate) fn get(&mut self, key: &Key, now: Instant) -> Option<Message> {
        let entry = self.entries.get(key)?;
        if now >= entry.expires {
            self.entries.remove(key);
            return None;
        }
        let age = u32::try_from(now.duration_since(entry.stored).as_secs()).unwrap_or(u32::MAX);
        let mut reply = Message::clone(&entry.reply);
        let sections = [&mut reply.answers, &mut reply.authorities, &mut reply.additionals];
        for record in sections.into_iter().flatten() {
            record.ttl = record.ttl.saturating_sub(age);
        }
        Some(reply)
    }

    /// Keeps an answer, if it may be kept at all.
    pub(crate) fn put(&mut self, key: Key, reply: &Arc<Message>, now: Instant) {
        let Some(lifetime) = lifetime(reply).filter(|_| self.capacity > 0) else { return };
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&key) {
            self.make_room(now);
        }
        self.entries.insert(key, Entry { reply: Arc::clone(reply), stored: now, expires: now + lifetime });
    }

    /// How many answers are kept.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn make_room(&mut self, now: Instant) {
        self.entries.retain(|_, entry| entry.expires > now);
        if self.entries.len() < self.capacity {
            return;
        }
        let first = self.entries.iter().min_by_key(|(_, entry)| entry.expires).map(|(key, _)| key.clone());
        if let Some(key) = first {
            self.entries.remove(&key);
        }
    }
}

/// How long an answer may be kept: as long as its shortest-lived record, or for a negative answer as
/// long as its start of authority says (RFC 2308, section 5). Nothing for answers not to be kept.
fn lifetime(reply: &Message) -> Option<Duration> {
    if reply.metadata.truncation {
        return None;
    }
    let answers = reply.answers.iter().map(|record| record.ttl).min();
    let wanted = reply.queries.first().map(Query::query_type);
    let positive = reply.answers.iter().any(|record| Some(record.record_type()) == wanted)
        || wanted == Some(RecordType::ANY) && answers.is_some();
    let (seconds, limit) = match reply.metadata.response_code {
        ResponseCode::NoError if positive => (answers?, MAX_POSITIVE),
        ResponseCode::NoError | ResponseCode::NXDomain => {
            let negative = reply.authorities.iter().find_map(|record| match &record.data {
                RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
                _ => None,
            })?;
            (answers.map_or(negative, |ttl| ttl.min(negative)), MAX_NEGATIVE)
        }
        _ => return None,
    };
    let lifetime = Duration::from_secs(u64::from(seconds)).min(limit);
    (!lifetime.is_zero()).then_some(lifetime)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_proto::{
        op::OpCode,
        rr::{
            Name, Record,
            rdata::{A, SOA},
        },
    };

    use super::*;

    fn query(name: &str) -> Query {
        Query::query(Name::from_ascii(name).unwrap(), RecordType::A)
    }

    fn key(name: &str) -> Key {
        Key::new(&query(name), false, false)
    }

    fn positive(name: &str, ttl: u32) -> Arc<Message> {
        let mut reply = Message::response(1, OpCode::Query);
        reply.add_query(query(name));
        let data = RData::A(A(Ipv4Addr::new(192, 0, 2, 1)));
        reply.add_answer(Record::from_rdata(Name::from_ascii(name).unwrap(), ttl, data));
        Arc::new(reply)
    }

    fn negative(name: &str, code: ResponseCode, ttl: u32, minimum: u32) -> Arc<Message> {
        let mut reply = Message::response(1, OpCode::Query);
        reply.metadata.response_code = code;
        reply.add_query(query(name));
        let apex = Name::from_ascii("test.").unwrap();
        let soa = SOA::new(apex.clone(), apex.clone(), 1, 1, 1, 1, minimum);
        reply.add_authority(Record::from_rdata(apex, ttl, RData::SOA(soa)));
        Arc::new(reply)
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn an_answer_lives_as_long_as_its_ttl_and_counts_down() {
        let (mut cache, start) = (Cache::new(10), Instant::now());
        cache.put(key("a.test."), &positive("a.test.", 60), start);
        assert_eq!(cache.get(&key("A.Test."), after(start, 20)).unwrap().answers[0].ttl, 40);
        assert_eq!(cache.get(&key("a.test."), after(start, 60)), None);
        assert_eq!(cache.len(), 0);
    }

    #[test]
    fn long_lives_are_cut_short() {
        let (mut cache, start) = (Cache::new(10), Instant::now());
        cache.put(key("a.test."), &positive("a.test.", 86400), start);
        assert!(cache.get(&key("a.test."), after(start, 299)).is_some());
        assert!(cache.get(&key("a.test."), after(start, 300)).is_none());
    }

    #[test]
    fn a_negative_answer_lives_as_long_as_its_start_of_authority_says() {
        let (mut cache, start) = (Cache::new(10), Instant::now());
        for (name, code) in [("a.test.", ResponseCode::NXDomain), ("b.test.", ResponseCode::NoError)] {
            cache.put(key(name), &negative(name, code, 3600, 10), start);
            assert!(cache.get(&key(name), after(start, 9)).is_some());
            assert!(cache.get(&key(name), after(start, 10)).is_none());
        }
    }

    #[test]
    fn failures_and_answers_without_a_lifetime_are_not_kept() {
        let (mut cache, start) = (Cache::new(10), Instant::now());
        cache.put(key("a.test."), &positive("a.test.", 0), start);
        cache.put(key("a.test."), &negative("a.test.", ResponseCode::ServFail, 60, 60), start);
        let mut bare = Message::response(1, OpCode::Query);
        bare.metadata.response_code = ResponseCode::NXDomain;
        cache.put(key("a.test."), &Arc::new(bare), start);
        let mut cut = Message::clone(&positive("a.test.", 60));
        cut.metadata.truncation = true;
        cache.put(key("a.test."), &Arc::new(cut), start);
        assert_eq!(cache.len(), 0);
    }

    #[test]
    fn a_full_cache_drops_what_would_expire_first() {
        let (mut cache, start) = (Cache::new(2), Instant::now());
        cache.put(key("a.test."), &positive("a.test.", 50), start);
        cache.put(key("b.test."), &positive("b.test.", 20), start);
        cache.put(key("c.test."), &positive("c.test.", 30), start);
        assert_eq!(cache.len(), 2);
        assert!(cache.get(&key("b.test."), start).is_none());
        assert!(cache.get(&key("a.test."), start).is_some());
    }

    #[test]
    fn questions_with_different_flags_are_different() {
        let (mut cache, start) = (Cache::new(10), Instant::now());
        cache.put(key("a.test."), &positive("a.test.", 60), start);
        assert!(cache.get(&Key::new(&query("a.test."), true, false), start).is_none());
    }
}
