//! Long-running commands on this host: logged, shown as progress, and never outliving skiff.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use skiff_report::{Event, Reporter};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::unix::pipe,
};

use crate::ArtifactError;

/// Lines of output kept to find the cause of a failure in.
const TAIL: usize = 40;

/// How often progress is shown while a command prints nothing.
const TICK: Duration = Duration::from_secs(1);

/// One command of a stage.
#[derive(Debug)]
pub(crate) struct Job {
    /// What is going on, as in `compiling Kubernetes v1.20.2`.
    pub(crate) stage: String,
    argv: Vec<OsString>,
    env: Vec<(&'static str, OsString)>,
    folder: Option<PathBuf>,
}

impl Job {
    /// A command that the kernel kills when skiff ends, even by `kill -9`.
    pub(crate) fn new<S: Into<OsString>>(stage: impl Into<String>, argv: impl IntoIterator<Item = S>) -> Self {
        Self::through(stage, &[], argv)
    }

    /// The same, started by another program. A user namespace has to be entered in this way: the
    /// kernel forgets the signal when a process gets new credentials.
    pub(crate) fn through<S: Into<OsString>>(
        stage: impl Into<String>,
        starter: &[&str],
        argv: impl IntoIterator<Item = S>,
    ) -> Self {
        let words = starter.iter().chain(&["setpriv", "--pdeathsig", "KILL", "--"]);
        let mut full: Vec<OsString> = words.map(Into::into).collect();
        full.extend(argv.into_iter().map(Into::into));
        Self { stage: stage.into(), argv: full, env: vec![("LC_ALL", "C".into())], folder: None }
    }

    /// Sets a variable of its environment.
    pub(crate) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// Sets the folder it runs in.
    pub(crate) fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }
}

/// A command that did not succeed.
#[derive(Debug)]
pub(crate) struct JobFailure {
    pub(crate) stage: String,
    pub(crate) status: ExitStatus,
    /// Its last lines, oldest first.
    pub(crate) tail: Vec<String>,
    pub(crate) log: PathBuf,
}

impl JobFailure {
    /// True if a line says so.
    pub(crate) fn says(&self, words: &[&str]) -> Option<&str> {
        self.tail.iter().rev().find(|line| words.iter().any(|word| line.contains(word))).map(String::as_str)
    }
}

impl From<JobFailure> for ArtifactError {
    fn from(failure: JobFailure) -> Self {
        if failure.says(&["No space left on device", "not enough free space", "disk quota exceeded"]).is_some() {
            return Self::DiskFull { stage: failure.stage, log: failure.log };
        }
        let cause = match cause(&failure.tail) {
            Some(line) => line.to_owned(),
            None => format!("it ended with {} and printed nothing", failure.status),
        };
        Self::Stage { stage: failure.stage, cause, log: failure.log }
    }
}

/// The line that says most about a failure: the last that sounds like one, else the last.
fn cause(tail: &[String]) -> Option<&str> {
    const ALARMS: [&str; 7] = ["error", "E: ", "fatal", "panic", "cannot", "failed", "killed"];
    let alarming = |line: &&String| ALARMS.iter().any(|word| line.contains(word));
    tail.iter().rev().find(alarming).or(tail.last()).map(|line| line.trim())
}

/// The log file of one run, and where its progress is shown.
pub(crate) struct Journal<'a> {
    path: PathBuf,
    file: File,
    started: Instant,
    reporter: &'a dyn Reporter,
}

impl<'a> Journal<'a> {
    /// Starts a new log; that of the run before stays beside it as `.old`.
    pub(crate) fn begin(path: PathBuf, reporter: &'a dyn Reporter) -> Result<Self, ArtifactError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(ArtifactError::io("create", folder))?;
        }
        if path.exists() {
            fs::rename(&path, path.with_extension("old.log")).map_err(ArtifactError::io("rename", &path))?;
        }
        let file = File::create(&path).map_err(ArtifactError::io("create", &path))?;
        Ok(Self { path, file, started: Instant::now(), reporter })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs a command to its end. `fraction` is called with each line of output and may tell how far
    /// the command is.
    pub(crate) async fn run(
        &mut self,
        job: Job,
        mut fraction: impl FnMut(&str) -> Option<f64> + Send,
    ) -> Result<Result<(), JobFailure>, ArtifactError> {
        let stage = job.stage.clone();
        self.note(&format!("[{:.1} s] {stage}: {:?}", self.started.elapsed().as_secs_f64(), job.argv))?;
        let began = Instant::now();
        let (mut child, output) = spawn(&job)?;
        let mut lines = BufReader::new(output).split(b'\n');
        let (mut tail, mut done) = (VecDeque::new(), None);
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                _ = tick.tick() => self.progress(&stage, began, done),
                line = lines.next_segment() => {
                    let Some(line) = line.map_err(ArtifactError::io("read the output of", &self.path))? else { break };
                    let line = String::from_utf8_lossy(&line).into_owned();
                    self.note(&line)?;
                    done = fraction(&line).or(done);
                    if tail.len() == TAIL {
                        tail.pop_front();
                    }
                    tail.push_back(line);
                }
            }
        }
        let status = child.wait().await.map_err(ArtifactError::io("wait for", &self.path))?;
        let phase = format!("artifacts/{}", stage.split(' ').next().unwrap_or_default());
        self.reporter.report(Event::Timing { phase, elapsed: began.elapsed() });
        if status.success() {
            return Ok(Ok(()));
        }
        self.note(&format!("{stage}: {status}"))?;
        let tail = tail.into_iter().filter(|line| !line.trim().is_empty()).collect();
        Ok(Err(JobFailure { stage, status, tail, log: self.path.clone() }))
    }

    fn progress(&self, stage: &str, began: Instant, fraction: Option<f64>) {
        let what = format!("{stage} ({} s)", began.elapsed().as_secs());
        self.reporter.report(Event::Progress { what, fraction });
    }

    fn note(&mut self, line: &str) -> Result<(), ArtifactError> {
        writeln!(self.file, "{line}").map_err(ArtifactError::io("write", &self.path))
    }
}

/// Starts a command in a process group of its own, so that Ctrl-C reaches skiff alone, with both of
/// its outputs in one pipe.
fn spawn(job: &Job) -> Result<(tokio::process::Child, pipe::Receiver), ArtifactError> {
    let program = job.argv.first().cloned().unwrap_or_default();
    let failed = || ArtifactError::io("run", &program);
    let (reader, writer) = std::io::pipe().map_err(failed())?;
    let mut command = tokio::process::Command::new(&program);
    command.args(job.argv.iter().skip(1)).envs(job.env.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(writer.try_clone().map_err(failed())?).stderr(writer);
    command.kill_on_drop(true).process_group(0);
    if let Some(folder) = &job.folder {
        command.current_dir(folder);
    }
    let child = command.spawn().map_err(failed())?;
    // Closes our copies of the writing end, without which the output would never end.
    drop(command);
    let reader = pipe::Receiver::from_owned_fd(reader.into()).map_err(failed())?;
    Ok((child, reader))
}

#[cfg(test)]
mod tests {
    use skiff_report::{Recorder, Silent};

    use super::*;

    fn failure(lines: &[&str]) -> JobFailure {
        let tail = lines.iter().map(|&line| line.to_owned()).collect();
        JobFailure { stage: "compiling".to_owned(), status: ExitStatus::default(), tail, log: "log".into() }
    }

    #[test]
    fn the_cause_is_the_last_line_that_sounds_like_one() {
        let error = ArtifactError::from(failure(&["note", "x.go:1: cannot use y", "make: leaving"]));
        assert_eq!(error.to_string(), "compiling failed: x.go:1: cannot use y");
        let error = ArtifactError::from(failure(&["note", "the end"]));
        assert_eq!(error.to_string(), "compiling failed: the end");
        assert!(ArtifactError::from(failure(&[])).to_string().ends_with("printed nothing"));
    }

    #[test]
    fn a_full_disk_is_recognised_in_any_tools_words() {
        let error = ArtifactError::from(failure(&["write /out/x: No space left on device", "exit status 2"]));
        assert!(matches!(error, ArtifactError::DiskFull { .. }), "{error}");
    }

    #[tokio::test]
    async fn output_goes_to_the_log_and_lines_move_the_progress() {
        let dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::default();
        let mut journal = Journal::begin(dir.path().join("logs/a.log"), &recorder).unwrap();
        let job = Job::new("counting things", ["sh", "-c", "echo one; echo two >&2; exit 3"]);
        let mut seen = Vec::new();
        let result = journal.run(job, |line| {
            seen.push(line.to_owned());
            Some(0.5)
        });
        let failure = result.await.unwrap().unwrap_err();
        assert_eq!((failure.status.code(), failure.tail.as_slice()), (Some(3), seen.as_slice()));
        assert_eq!(seen, ["one", "two"]);
        let log = fs::read_to_string(journal.path()).unwrap();
        assert!(log.contains("counting things") && log.contains("one\ntwo\n"), "{log}");
        assert!(matches!(&recorder.events()[..], [.., Event::Timing { phase, .. }] if phase == "artifacts/counting"));
    }

    #[tokio::test]
    async fn a_command_ends_when_nobody_waits_for_it_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::begin(dir.path().join("a.log"), &Silent).unwrap();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let mut sender = Some(sender);
        let job = Job::new("sleeping", ["sh", "-c", "echo $$; exec sleep 600"]);
        let waiting = journal.run(job, |line| {
            if let Some(sender) = sender.take() {
                sender.send(line.to_owned()).unwrap();
            }
            None
        });
        let pid = tokio::select! {
            _ = waiting => panic!("the command ended by itself"),
            pid = receiver => pid.unwrap(),
        };
        let running = || match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => !stat.contains(") Z "),
            Err(_) => false,
        };
        while running() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn the_log_before_the_last_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["first", "second"] {
            let mut journal = Journal::begin(dir.path().join("a.log"), &Silent).unwrap();
            journal.run(Job::new("saying", ["echo", text]), |_| None).await.unwrap().unwrap();
        }
        assert!(fs::read_to_string(dir.path().join("a.old.log")).unwrap().contains("first"));
        assert!(fs::read_to_string(dir.path().join("a.log")).unwrap().contains("second"));
    }
}
