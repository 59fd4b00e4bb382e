//! Fetches an artifact set and says what is going on: `fetch CACHE [VERSION] [debian]`.
#![expect(clippy::print_stdout, reason = "an example program prints")]

use std::{process::ExitCode, time::Instant};

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
        println!("usage: fetch CACHE [VERSION] [debian]");
        return ExitCode::FAILURE;
    };
    let version = arguments.next().map_or_else(|| Ok(Default::default()), |text| text.parse());
    let Ok(version) = version else {
        println!("that is no Kubernetes version");
        return ExitCode::FAILURE;
    };
    let options = DebianOptions { cache: cache.into(), mirror: None, keyring: None, stamp: Stamp::AnyPatch };
    let debian = DebianSource::new(options);
    let source = if arguments.next().is_some() { AnySource::Debian(debian) } else { AnySource::Auto(debian) };
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
