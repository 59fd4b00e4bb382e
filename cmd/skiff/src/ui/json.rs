//! CloudEvents, one a line, in the shape of minikube's.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde_json::{Map, Value};
use skiff_report::{Event, Reporter, Step};

use super::{Stream, Ui};
use crate::failure::Failure;

/// `source` of every event.
const SOURCE: &str = "https://skiff.dev/";

/// Writes every event as one JSON object on standard output.
pub(crate) struct Json {
    out: Stream,
    /// Number of the running step and of the last one: progress belongs to a step.
    position: Mutex<(u8, u8)>,
}

/// The envelope of the CloudEvents specification, version 1.0.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
struct CloudEvent {
    specversion: &'static str,
    id: String,
    source: &'static str,
    r#type: String,
    datacontenttype: &'static str,
    time: String,
    data: Map<String, Value>,
}

impl Json {
    pub(crate) fn new(out: Stream) -> Self {
        Self { out, position: Mutex::new((0, Step::TOTAL)) }
    }

    /// Every value of `data` is text, numbers too: that is what scripts written for minikube expect.
    fn emit<const N: usize>(&self, kind: &str, data: [(&str, String); N]) {
        let event = CloudEvent {
            specversion: "1.0",
            id: uuid(),
            source: SOURCE,
            r#type: format!("dev.skiff.{kind}"),
            datacontenttype: "application/json",
            time: jiff::Timestamp::now().to_string(),
            data: data.into_iter().map(|(key, value)| (key.to_owned(), Value::String(value))).collect(),
        };
        if let Ok(line) = serde_json::to_string(&event) {
            self.out.line(&line);
        }
    }

    fn step(&self, number: u8, total: u8, name: &str, message: String) {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner) = (number, total);
        let data = [
            ("currentstep", number.to_string()),
            ("totalsteps", total.to_string()),
            ("name", name.to_owned()),
            ("message", message),
        ];
        self.emit("step", data);
    }
}

impl Reporter for Json {
    fn report(&self, event: Event) {
        match event {
            Event::Step { step, message } => self.step(step.number(), Step::TOTAL, step.name(), message),
            Event::Stage { number, total, name, message } => self.step(number, total, name, message),
            Event::Progress { what, fraction } => {
                let (number, total) = *self.position.lock().unwrap_or_else(PoisonError::into_inner);
                let data = [
                    ("currentstep", number.to_string()),
                    ("totalsteps", total.to_string()),
                    ("artifact", what),
                    ("progress", fraction.map(|part| format!("{part:.3}")).unwrap_or_default()),
                ];
                self.emit("download.progress", data);
            }
            Event::Info(message) => self.emit("info", [("message", message)]),
            Event::Warning(message) => self.emit("warning", [("message", message)]),
            Event::Timing { phase, elapsed } => {
                self.emit("timing", [("phase", phase), ("seconds", format!("{:.3}", elapsed.as_secs_f64()))]);
            }
        }
    }
}

impl Ui for Json {
    fn failure(&self, failure: &Failure) {
        let data = [
            ("name", failure.id.to_owned()),
            ("message", failure.full_message()),
            ("exitcode", failure.exit.0.to_string()),
            ("advice", failure.advice.clone()),
            ("url", String::new()),
            ("issues", String::new()),
        ];
        self.emit("error", data);
    }

    fn finish(&self) {}
}

/// A random UUID (version 4).
fn uuid() -> String {
    let mut bytes = [0_u8; 16];
    // An id that is all zeros is still a valid event, so a kernel without randomness costs nothing.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::stream::capture::Capture;

    #[test]
    fn every_event_is_a_cloud_event_on_one_line() {
        let out = Capture::default();
        let json = Json::new(out.stream());
        for event in crate::ui::terminal::tests::a_start() {
            json.report(event);
        }
        json.failure(&crate::failure::tests::docker_is_off());
        let text = out.text();
        for line in text.lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            assert!(event["data"].as_object().unwrap().values().all(Value::is_string), "{line}");
        }
        insta::with_settings!({filters => vec![
            (r"[0-9a-f]{8}-[0-9a-f-]{27}", "[uuid]"),
            (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "[time]"),
        ]}, {
            insta::assert_snapshot!(text);
        });
    }

    #[test]
    fn ids_are_random_uuids() {
        let (one, other) = (uuid(), uuid());
        assert_ne!(one, other);
        assert_eq!((one.len(), one.as_bytes()[14]), (36, b'4'));
    }
}
