//! `skiff drivers`.

use skiff_drivers::{Finding, Verdict, survey};
use skiff_report::{Diagnose, ExitCode};

use crate::{
    context::{Context, print_line},
    failure::Failure,
    ui::{megabytes, table},
};

/// Lists the drivers and whether they work on this host.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let findings = survey(&context.providers()).await;
        print_line(&table(["Driver", "Works", "Remark"], findings.into_iter().map(row)).to_string())?;
        Ok(ExitCode::SUCCESS)
    }
}

fn row(finding: Finding) -> [String; 3] {
    let name = finding.kind.to_string();
    match finding.verdict {
        Verdict::Usable(can) => {
            let remark = format!("{} processors, {} of memory", can.cpus, megabytes(can.memory));
            [name, "yes".to_owned(), remark]
        }
        Verdict::Unusable(error) => {
            let advice = error.reason().advice;
            [name, "no".to_owned(), format!("{}. {advice}", Failure::from(error).full_message())]
        }
        Verdict::NotInThisBuild => [name, "no".to_owned(), "not in this build yet".to_owned()],
    }
}
