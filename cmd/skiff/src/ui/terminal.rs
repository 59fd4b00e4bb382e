//! A live view for a person.

use std::{
    fmt::Write as _,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use skiff_report::{Event, Reporter, Step};

use super::Ui;
use crate::failure::Failure;

const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const RESET: &str = "\x1b[0m";
/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// Steps that are over stand as lines with the time they took; below them the running one turns
/// in place, with what it is working on.
pub(crate) struct Terminal {
    bar: ProgressBar,
    running: Mutex<Option<Running>>,
}

struct Running {
    message: String,
    since: Instant,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        Self::on(ProgressDrawTarget::stdout())
    }

    fn on(target: ProgressDrawTarget) -> Self {
        let style = ProgressStyle::with_template("{seconds:>7.dim} {spinner:.cyan} {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner())
            .with_key("seconds", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = out.write_str(&seconds(state.elapsed()));
            });
        let bar = ProgressBar::with_draw_target(None, target).with_style(style);
        Self { bar, running: Mutex::default() }
    }

    /// Ends the running step, if any, with a line that stays.
    fn settle(&self, running: &mut Option<Running>) {
        if let Some(Running { message, since }) = running.take() {
            self.bar.println(format!("{DIM}{:>7}{RESET}   {message}", seconds(since.elapsed())));
        }
    }

    fn begin(&self, message: String) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        self.settle(&mut running);
        self.bar.reset_elapsed();
        self.bar.set_message(message.clone());
        self.bar.enable_steady_tick(TICK);
        *running = Some(Running { message, since: Instant::now() });
    }

    fn progress(&self, what: &str, fraction: Option<f64>) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = running.as_ref().map_or_else(String::new, |step| format!("{}: ", step.message));
        text.push_str(what);
        if let Some(fraction) = fraction {
            let _ = write!(text, " {:.0}%", fraction.clamp(0.0, 1.0) * 100.0);
        }
        self.bar.set_message(text);
    }

    fn close(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        self.settle(&mut running);
        self.bar.finish_and_clear();
    }
}

impl Reporter for Terminal {
    fn report(&self, event: Event) {
        match event {
            Event::Step { step: Step::Done, message } => {
                self.close();
                self.bar.println(format!("{:>7}   {message}", ""));
            }
            Event::Step { message, .. } | Event::Stage { message, .. } => self.begin(message),
            Event::Progress { what, fraction } => self.progress(&what, fraction),
            Event::Info(message) => self.bar.println(format!("{:>7}   {message}", "")),
            Event::Warning(message) => self.bar.suspend(|| {
                super::Stream::stderr().line(&format!("{YELLOW}warning:{RESET} {message}"));
            }),
            Event::Timing { .. } => {}
        }
    }
}

impl Ui for Terminal {
    fn failure(&self, failure: &Failure) {
        self.finish();
        super::Stream::stderr().line(&format!("{RED}{}{RESET}{}", failure.headline(), failure.rest()));
    }

    fn finish(&self) {
        self.close();
    }
}

/// A duration as short as it can be told: `0.4s`, `12.3s`, `1m05s`.
pub(crate) fn seconds(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        0..100 => format!("{:.1}s", elapsed.as_secs_f64()),
        whole => format!("{}m{:02}s", whole / 60, whole % 60),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use indicatif::InMemoryTerm;

    use super::*;

    /// The events of a short start, for every renderer's snapshot.
    pub(in crate::ui) fn a_start() -> Vec<Event> {
        let step = |step, message: &str| Event::Step { step, message: message.to_owned() };
        let progress = |what: &str, fraction| Event::Progress { what: what.to_owned(), fraction };
        vec![
            step(Step::InitialSetup, "skiff v0.1.0 starts cluster \"dev\""),
            step(Step::SelectingDriver, "Using the docker driver"),
            step(Step::DownloadingArtifacts, "Getting Kubernetes v1.20.2"),
            Event::Info("Download sites do not answer: building from Debian's sources".to_owned()),
            progress("kube-apiserver", Some(0.25)),
            progress("kube-apiserver", Some(0.5)),
            progress("etcd", None),
            Event::Warning("memory is short: 2 GiB free".to_owned()),
            step(Step::CreatingContainer, "Creating node \"dev\""),
            Event::Timing { phase: "node/create".to_owned(), elapsed: Duration::from_millis(420) },
            step(Step::Done, "Done: kubectl uses cluster \"dev\" now"),
        ]
    }

    #[test]
    fn finished_steps_stay_with_their_time() {
        let screen = InMemoryTerm::new(20, 80);
        let terminal = Terminal::on(ProgressDrawTarget::term_like(Box::new(screen.clone())));
        for event in a_start() {
            terminal.report(event);
        }
        terminal.finish();
        insta::with_settings!({filters => vec![(r"\d+\.\ds", "[time]")]}, {
            insta::assert_snapshot!(screen.contents());
        });
    }

    #[test]
    fn the_running_step_shows_what_it_works_on() {
        let screen = InMemoryTerm::new(20, 80);
        let terminal = Terminal::on(ProgressDrawTarget::term_like(Box::new(screen.clone())));
        terminal.begin("Getting Kubernetes".to_owned());
        terminal.progress("kube-apiserver", Some(0.42));
        terminal.bar.tick();
        let text = screen.contents();
        terminal.finish();
        assert!(text.contains("Getting Kubernetes: kube-apiserver 42%"), "{text}");
    }

    #[test]
    fn times_are_told_shortly() {
        let shown = [420, 12_345, 65_000, 605_000].map(|ms| seconds(Duration::from_millis(ms)));
        assert_eq!(shown, ["0.4s", "12.3s", "65.0s", "10m05s"]);
    }
}
