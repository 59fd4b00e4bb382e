//! From request to response. Everything is answered at once: nothing is asked of other servers.

use std::{
    convert::Infallible,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use hickory_proto::op::{Message, ResponseCode};

use super::hosts::{Found, Hosts};
use crate::dns::{
    respond::{Opened, open},
    server::{Answers, Step},
};

/// The names, and whether all of them are known.
#[derive(Debug)]
pub(super) struct Responder {
    hosts: RwLock<Hosts>,
    complete: AtomicBool,
}

impl Responder {
    pub(super) fn new(hosts: Hosts) -> Self {
        Self { hosts: RwLock::new(hosts), complete: AtomicBool::new(false) }
    }

    /// Changes the names. After the first change, which is a full list, they are complete.
    pub(super) fn change(&self, change: impl FnOnce(&mut Hosts)) {
        change(&mut self.hosts.write().unwrap_or_else(PoisonError::into_inner));
        if !self.complete.swap(true, Ordering::Release) {
            tracing::info!(hosts = self.read(Hosts::len), "all hosts known, ready");
        }
    }

    /// Reads the names.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Hosts) -> T) -> T {
        read(&self.hosts.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the first full list has come.
    pub(super) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }
}

impl Answers for Responder {
    type Rest = Infallible;

    fn begin(&self, request: &Message) -> Step<Infallible> {
        let Opened { mut response, question, .. } = match open(request, false) {
            Ok(opened) => opened,
            Err(refusal) => return Step::Done(*refusal),
        };
        response.metadata.authoritative = true;
        match self.read(|hosts| hosts.lookup(question.name(), question.query_type())) {
            Found::Records(records) => response.answers = records,
            Found::Nothing(authority) => {
                response.add_authority(*authority);
            }
            Found::Foreign => {
                response.metadata.authoritative = false;
                // Refusing sends a resolver on to the next server; before the first list, nobody knows.
                let code = if self.is_complete() { ResponseCode::Refused } else { ResponseCode::ServFail };
                response.metadata.response_code = code;
            }
        }
        Step::Done(response)
    }

    async fn finish(&self, rest: Infallible) -> Message {
        match rest {}
    }
}
