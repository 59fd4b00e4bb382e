//! QEMU's monitor: commands and answers as lines of JSON.

use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use skiff_config::NodeName;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use crate::Error;

/// How long an answer may take. QEMU answers at once, unless another client has the monitor.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a job may take: a memory is written to a disk of the host.
const JOB: Duration = Duration::from_mins(20);

/// How often a job is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// A connection to a monitor.
pub(crate) struct Monitor {
    node: NodeName,
    lines: tokio::io::Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
    patience: Duration,
}

impl Monitor {
    /// Connects.
    pub(crate) async fn connect(path: &Path, node: &NodeName) -> Result<Self, Error> {
        let failed = |source| Error::Monitor { node: node.clone(), source };
        let stream = UnixStream::connect(path).await.map_err(failed)?;
        let (reader, writer) = stream.into_split();
        let mut monitor =
            Self { node: node.clone(), lines: BufReader::new(reader).lines(), writer, patience: PATIENCE };
        monitor.line(Instant::now() + PATIENCE).await?;
        monitor.ask("qmp_capabilities", json!({})).await?;
        Ok(monitor)
    }

    /// Runs a command and returns what it gives back.
    pub(crate) async fn ask(&mut self, command: &str, arguments: Value) -> Result<Value, Error> {
        let request = json!({ "execute": command, "arguments": arguments });
        let deadline = Instant::now() + self.patience;
        let sent = self.writer.write_all(format!("{request}\n").as_bytes()).await;
        sent.map_err(|source| self.failed(source))?;
        loop {
            let mut answer = self.line(deadline).await?;
            if let Some(error) = answer.get("error") {
                let detail = error["desc"].as_str().unwrap_or("no reason given").to_owned();
                return Err(Error::Refused { command: command.to_owned(), detail });
            }
            // What happened meanwhile is told between.
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
    }

    /// Runs a command that works on, and waits for its end. QEMU may be deaf meanwhile.
    pub(crate) async fn job(&mut self, command: &str, mut arguments: Value) -> Result<(), Error> {
        let id = format!("skiff-{}", std::process::id());
        arguments["job-id"] = json!(id);
        self.patience = JOB;
        let ended = self.run_job(command, arguments, &id).await;
        self.patience = PATIENCE;
        ended
    }

    async fn run_job(&mut self, command: &str, arguments: Value, id: &str) -> Result<(), Error> {
        let end = Instant::now() + JOB;
        self.ask(command, arguments).await?;
        loop {
            let jobs = self.ask("query-jobs", json!({})).await?;
            let job = jobs.as_array().and_then(|jobs| jobs.iter().find(|job| job["id"] == *id));
            let Some(job) = job else {
                return Err(Error::Refused { command: command.to_owned(), detail: "it is lost".to_owned() });
            };
            if job["status"] == "concluded" {
                let failure = job["error"].as_str().map(str::to_owned);
                self.ask("job-dismiss", json!({ "id": id })).await?;
                let refused = |detail| Error::Refused { command: command.to_owned(), detail };
                return failure.map_or(Ok(()), |detail| Err(refused(detail)));
            }
            if Instant::now() >= end {
                return Err(self.failed(io::ErrorKind::TimedOut.into()));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What the machine does, in QEMU's word.
    pub(crate) async fn status(&mut self) -> Result<String, Error> {
        let status = self.ask("query-status", json!({})).await?;
        Ok(status["status"].as_str().unwrap_or_default().to_owned())
    }

    async fn line(&mut self, deadline: Instant) -> Result<Value, Error> {
        let line = match tokio::time::timeout_at(deadline.into(), self.lines.next_line()).await {
            Ok(Ok(Some(line))) => line,
            Ok(Ok(None)) => return Err(self.failed(io::ErrorKind::UnexpectedEof.into())),
            Ok(Err(source)) => return Err(self.failed(source)),
            Err(_) => return Err(self.failed(io::ErrorKind::TimedOut.into())),
        };
        serde_json::from_str(&line).map_err(|error| self.failed(error.into()))
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Monitor { node: self.node.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncReadExt, net::UnixListener};

    use super::*;

    /// A monitor that greets, then answers each line with the next of these texts.
    async fn answering(answers: &'static [&'static str]) -> (tempfile::TempDir, Result<Monitor, Error>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("qmp.sock");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"{\"QMP\": {}}\n").await.unwrap();
            for answer in ["{\"return\": {}}"].iter().chain(answers) {
                let mut asked = [0; 4096];
                assert!(stream.read(&mut asked).await.unwrap() > 0);
                stream.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
            }
        });
        let monitor = Monitor::connect(&path, &"node".parse().unwrap()).await;
        (dir, monitor)
    }

    #[tokio::test]
    async fn events_between_question_and_answer_are_passed_over() {
        let (_dir, monitor) = answering(&["{\"event\": \"STOP\"}\n{\"return\": {\"status\": \"paused\"}}"]).await;
        assert_eq!(monitor.unwrap().status().await.unwrap(), "paused");
    }

    #[tokio::test]
    async fn a_refusal_carries_qemus_words() {
        let (_dir, monitor) = answering(&["{\"error\": {\"class\": \"GenericError\", \"desc\": \"no room\"}}"]).await;
        let error = monitor.unwrap().ask("cont", json!({})).await.unwrap_err();
        assert_eq!(error.to_string(), "QEMU refuses cont: no room");
    }

    #[tokio::test]
    async fn a_job_is_waited_for_and_tells_why_it_failed() {
        let id = format!("skiff-{}", std::process::id());
        let job = |status: &str, rest: &str| -> &'static str {
            format!("{{\"return\": [{{\"id\": \"{id}\", \"status\": \"{status}\"{rest}}}]}}").leak()
        };
        let done = "{\"return\": {}}";
        let answers = vec![done, job("running", ""), job("concluded", ", \"error\": \"no room\""), done];
        let (_dir, monitor) = answering(answers.leak()).await;
        let error = monitor.unwrap().job("snapshot-save", json!({})).await.unwrap_err();
        assert_eq!(error.to_string(), "QEMU refuses snapshot-save: no room");
    }

    #[tokio::test]
    async fn a_machine_that_ends_meanwhile_is_told() {
        let (_dir, monitor) = answering(&[]).await;
        let error = monitor.unwrap().status().await.unwrap_err();
        assert!(matches!(error, Error::Monitor { .. }), "{error}");
    }
}
