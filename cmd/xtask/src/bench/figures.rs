//! The figures, what is promised for each, and how they are written.

use super::{
    samples::{median, median_ratio, range},
    table,
};

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
    /// Millions of bytes.
    Megabytes,
    /// Of one core.
    Percent,
    /// Something as a multiple of the same thing elsewhere.
    Times,
}

impl Unit {
    fn write(self, value: f64) -> String {
        match self {
            Self::Seconds => format!("{value:.2} s"),
            Self::Milliseconds => format!("{value:.0} ms"),
            Self::Megabytes => format!("{value:.1} MB"),
            Self::Percent => format!("{value:.1} %"),
            Self::Times => format!("{value:.2} x"),
        }
    }
}

/// Something that is measured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figure {
    name: String,
    unit: Unit,
    at_most: Option<f64>,
    /// Promised share of the baseline.
    ratio_at_most: Option<f64>,
}

impl Figure {
    pub(crate) fn new(name: &str, unit: Unit, at_most: impl Into<Option<f64>>) -> Self {
        Self { name: name.to_owned(), unit, at_most: at_most.into(), ratio_at_most: None }
    }

    /// The figure that the others are shares of.
    pub(crate) fn baseline() -> Self {
        Self::new("naive baseline to Ready", Unit::Seconds, None)
    }

    pub(crate) fn start() -> Self {
        Self { ratio_at_most: Some(0.33), ..Self::new("start to usable", Unit::Seconds, 10.0) }
    }

    fn target(&self) -> String {
        let ratio = self.ratio_at_most.map(|ratio| format!("{ratio} x"));
        let value = self.at_most.map(|value| match self.unit {
            Unit::Seconds => format!("{value} s"),
            unit => unit.write(value).replace(".0", ""),
        });
        [value, ratio].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// All figures of one run, in the order of their first value.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<(Figure, Vec<f64>)>);

impl Figures {
    /// Takes one more value of a figure.
    pub(crate) fn add(&mut self, figure: Figure, value: f64) {
        match self.0.iter_mut().find(|(known, _)| known.name == figure.name) {
            Some((_, values)) => values.push(value),
            None => self.0.push((figure, vec![value])),
        }
    }

    /// The table that people read.
    pub(crate) fn table(&self) -> String {
        let baseline = Figure::baseline();
        let base = self.0.iter().find(|(figure, _)| *figure == baseline).map(|(_, values)| values.as_slice());
        let mut rows = vec![["figure", "target", "median", "min - max", "ratio", "met"].map(str::to_owned).to_vec()];
        rows.extend(self.0.iter().map(|(figure, values)| {
            let comparable = figure.unit == Unit::Seconds && *figure != baseline;
            row(figure, values, base.filter(|_| comparable))
        }));
        table::render(&rows)
    }
}

fn row(figure: &Figure, values: &[f64], base: Option<&[f64]>) -> Vec<String> {
    let middle = median(values);
    let ratio = base.and_then(|base| median_ratio(values, base));
    let spread = range(values).filter(|_| values.len() > 1);
    let kept = |at_most: Option<f64>, value: Option<f64>| Some(value? <= at_most?);
    let verdicts = [kept(figure.at_most, middle), kept(figure.ratio_at_most, ratio)];
    let met = match verdicts.into_iter().flatten().reduce(|one, other| one && other) {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "",
    };
    vec![
        figure.name.clone(),
        figure.target(),
        middle.map(|value| figure.unit.write(value)).unwrap_or_default(),
        spread
            .map(|(low, high)| format!("{} - {}", figure.unit.write(low), figure.unit.write(high)))
            .unwrap_or_default(),
        ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
        met.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_above_its_target_misses_it_whatever_the_seconds() {
        let mut figures = Figures::default();
        for (naive, ours) in [(20.0, 8.0), (30.0, 9.0), (20.0, 7.0)] {
            figures.add(Figure::baseline(), naive);
            figures.add(Figure::start(), ours);
        }
        let table = figures.table();
        let line = table.lines().find(|line| line.starts_with("start")).unwrap();
        let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells, ["start to usable", "10 s, 0.33 x", "8.00 s", "7.00 s - 9.00 s", "0.35", "NO"]);
    }

    #[test]
    fn without_a_baseline_or_a_target_the_cells_stay_empty() {
        let mut figures = Figures::default();
        figures.add(Figure::new("idle CPU, of one core", Unit::Percent, None), 3.26);
        figures.add(Figure::new("status", Unit::Milliseconds, 150.0), 80.4);
        let table = figures.table();
        assert!(table.contains("3.3 %\n"), "{table}");
        assert!(table.contains("150 ms"), "{table}");
        assert!(table.ends_with("80 ms                     yes\n"), "{table}");
    }
}
