//! Fetches an artifact set and says what is going on: `fetch CACHE [VERSION [SOURCE [MIRROR [KEYRING]]]]`.
#![expect(clippy::print_stdout, reason = "an example program prints")]

use std::{path::PathBuf, process::ExitCode, time::Instant};

use skiff_artifacts::{AnySource, ArtifactSource, DebianOptions, DebianSource, Stamp};
use skiff_report::{Diagnose, Event, Reporter};

struct Lines(Instant);

impl Reporter for Lines {
    fn report(&self, event: Event) {
        println!("{:7.1} {event:?}", self.0.elapsed().as_secs_f64());
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(cache) = arguments.next() else {
        println!("usage: fetch CACHE [VERSION [auto|debian [MIRROR [KEYRING]]]]");
        return ExitCode::FAILURE;
    };
    let version = arguments.next().map_or_else(|| Ok(Default::default()), |text| text.parse());
    let Ok(version) = version else {
        println!("that is no Kubernetes version");
        return ExitCode::FAILURE;
    };
    let choice = arguments.next();
    let debian = DebianSource::new(DebianOptions {
        cache: cache.into(),
        mirror: arguments.next(),
        keyring: arguments.next().map(PathBuf::from),
        stamp: Stamp::AnyPatch,
    });
    let source = if choice.as_deref() == Some("debian") { AnySource::Debian(debian) } else { AnySource::Auto(debian) };
    let started = Instant::now();
    match source.fetch(&version, &Lines(started)).await {
        Ok(set) => {
            println!("{:7.1} {} in {}", started.elapsed().as_secs_f64(), set.key, set.programs.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error}\n{:?}", error.reason());
            ExitCode::FAILURE
        }
    }
}
