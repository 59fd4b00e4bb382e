//! Programs that must be there on the host.

use skiff_runner::{Command, LocalRunner, Runner};

use crate::ArtifactError;

/// Fails if one of the programs, each given with its Debian package, is not installed.
pub(crate) async fn check(programs: &[(&'static str, &'static str)]) -> Result<(), ArtifactError> {
    let names: Vec<&str> = programs.iter().map(|(program, _)| *program).collect();
    let script = format!("for p in {}; do command -v \"$p\" >/dev/null || echo \"$p\"; done", names.join(" "));
    let output = LocalRunner.output(Command::sh(&script)).await;
    let missing = output.map_err(|_| ArtifactError::ToolMissing { program: "sh", package: "dash" })?.stdout_text();
    match programs.iter().find(|(program, _)| missing.lines().any(|line| line == *program)) {
        Some(&(program, package)) => Err(ArtifactError::ToolMissing { program, package }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_missing_program_is_named_with_its_package() {
        check(&[("sh", "dash")]).await.unwrap();
        let error = check(&[("sh", "dash"), ("no-such-program", "some-package")]).await.unwrap_err();
        assert!(matches!(error, ArtifactError::ToolMissing { package: "some-package", .. }), "{error}");
    }
}
