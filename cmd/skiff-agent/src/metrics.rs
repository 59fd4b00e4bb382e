//! Prometheus' text format, as far as the roles need it: counters, gauges and one histogram.

use std::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Counts one more.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The count so far.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the histogram's buckets, in microseconds.
const BOUNDS: [u64; 8] = [50, 100, 250, 1_000, 10_000, 100_000, 1_000_000, 5_000_000];

/// How long something took.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [Counter; BOUNDS.len()],
    count: Counter,
    sum_micros: AtomicU64,
}

impl Histogram {
    /// Adds one duration.
    pub(crate) fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = BOUNDS.iter().position(|bound| micros <= *bound) {
            self.buckets[bucket].add();
        }
        self.count.add();
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }
}

/// A page of metrics in the making.
#[derive(Debug, Default)]
pub(crate) struct Page(String);

impl Page {
    /// Adds a counter with one value for each label set, written like `transport="udp"`.
    pub(crate) fn counter(&mut self, name: &str, help: &str, values: &[(&str, u64)]) {
        self.family(name, help, "counter", values);
    }

    /// Adds a gauge.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, help, "gauge", &[("", value)]);
    }

    /// Adds a histogram, in seconds.
    pub(crate) fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, help, "histogram");
        let mut below = 0;
        for (bound, bucket) in BOUNDS.iter().zip(&histogram.buckets) {
            below += bucket.get();
            self.line(&format!("{name}_bucket{{le=\"{}\"}}", Duration::from_micros(*bound).as_secs_f64()), below);
        }
        self.line(&format!("{name}_bucket{{le=\"+Inf\"}}"), histogram.count.get());
        let sum = Duration::from_micros(histogram.sum_micros.load(Ordering::Relaxed));
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{name}_sum {}", sum.as_secs_f64());
        self.line(&format!("{name}_count"), histogram.count.get());
    }

    /// The finished page.
    pub(crate) fn finish(self) -> String {
        self.0
    }

    fn family(&mut self, name: &str, help: &str, kind: &str, values: &[(&str, u64)]) {
        self.head(name, help, kind);
        for (labels, value) in values {
            match *labels {
                "" => self.line(name, *value),
                labels => self.line(&format!("{name}{{{labels}}}"), *value),
            }
        }
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, series: &str, value: u64) {
        let _ = writeln!(self.0, "{series} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_in_the_text_format() {
        let mut page = Page::default();
        page.counter("a_total", "What a is.", &[("kind=\"x\"", 1), ("kind=\"y\"", 2)]);
        page.gauge("b", "What b is.", 3);
        let expected = "# HELP a_total What a is.\n# TYPE a_total counter\na_total{kind=\"x\"} 1\n\
                        a_total{kind=\"y\"} 2\n# HELP b What b is.\n# TYPE b gauge\nb 3\n";
        assert_eq!(page.finish(), expected);
    }

    #[test]
    fn the_buckets_of_a_histogram_add_up() {
        let histogram = Histogram::default();
        for micros in [10, 60, 70, 99_999_999] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut page = Page::default();
        page.histogram("t", "Time.", &histogram);
        let text = page.finish();
        for line in ["t_bucket{le=\"0.00005\"} 1", "t_bucket{le=\"0.0001\"} 3", "t_bucket{le=\"+Inf\"} 4", "t_count 4"]
        {
            assert!(text.contains(&format!("{line}\n")), "{line} in {text}");
        }
    }
}
