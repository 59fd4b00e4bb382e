//! Commands on this host.

use std::{os::unix::process::ExitStatusExt, process::Stdio};

use tokio::io::AsyncWriteExt;

use crate::{Command, Output, RunError, Runner, Stdin};

/// Runs commands on this host. A command is killed when its future is dropped.
#[derive(Debug, Default, Clone, Copy)]
pub struct LocalRunner;

impl Runner for LocalRunner {
    async fn output(&self, command: Command) -> Result<Output, RunError> {
        let program = command.argv.first().cloned().unwrap_or_default();
        let spawn = |source| RunError::Spawn { program: program.clone(), source };
        let mut child = tokio::process::Command::new(&program)
            .args(command.argv.iter().skip(1))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(spawn)?;
        let stdin = child.stdin.take();
        let feed = async {
            if let (Some(mut pipe), Stdin::Bytes(bytes)) = (stdin, &command.stdin) {
                // A program that ends without reading everything is not an error of ours.
                let _ = pipe.write_all(bytes).await;
            }
        };
        let finished = async { tokio::join!(child.wait_with_output(), feed).0 };
        match tokio::time::timeout(command.timeout, finished).await {
            Err(_) => Err(RunError::Timeout { command: command.to_shell(), timeout: command.timeout }),
            Ok(Err(source)) => Err(spawn(source)),
            Ok(Ok(output)) => Ok(Output {
                status: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
                stdout: output.stdout,
                stderr: output.stderr,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn output_carries_status_and_both_streams() {
        let command = Command::sh("cat; echo oops >&2; exit 3").stdin("hello");
        let output = LocalRunner.output(command).await.unwrap();
        assert_eq!(
            (output.status, output.stdout_text().as_str(), output.stderr_text().as_str()),
            (3, "hello", "oops\n")
        );
    }

    #[tokio::test]
    async fn a_command_that_takes_too_long_is_ended() {
        let error = LocalRunner.run(Command::sh("sleep 30").timeout(Duration::from_millis(50))).await.unwrap_err();
        assert!(matches!(error, RunError::Timeout { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_failed_run_shows_the_last_line_it_printed() {
        let error = LocalRunner.run(Command::sh("echo first >&2; echo 'disk full' >&2; exit 1")).await.unwrap_err();
        assert!(error.to_string().ends_with("failed with status 1: disk full"), "{error}");
    }
}
