//! What the command line asks for.

/// How often and what to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    /// Measured rounds; each figure is the median over them.
    pub(crate) runs: usize,
    /// Seconds over which the idle cluster is watched; 0 leaves that out.
    pub(crate) idle: u64,
    /// Whether the naive way is measured too. Without it there are no ratios.
    pub(crate) baseline: bool,
}

impl Options {
    pub(crate) const USAGE: &str = "xtask bench [--runs N] [--idle SECONDS] [--skip-baseline]";

    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { runs: 5, idle: 60, baseline: true };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let value = arguments.next().unwrap_or_default();
                value.parse::<u32>().map_err(|_| format!("{argument} needs a number, not {value:?}"))
            };
            match argument.as_str() {
                "--runs" => options.runs = number()?.max(1) as usize,
                "--idle" => options.idle = number()?.into(),
                "--skip-baseline" => options.baseline = false,
                _ => return Err(format!("unknown argument {argument:?}; usage: {}", Self::USAGE)),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn five_runs_against_the_baseline_unless_told_otherwise() {
        assert_eq!(parse(""), Ok(Options { runs: 5, idle: 60, baseline: true }));
        assert_eq!(parse("--runs 2 --skip-baseline --idle 0"), Ok(Options { runs: 2, idle: 0, baseline: false }));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(parse("--runs many").unwrap_err().contains("\"many\""));
        assert!(parse("--idle").unwrap_err().contains("--idle"));
        assert!(parse("--fast").unwrap_err().contains("--fast"));
    }
}
