//! The runner against a real sshd.

mod sshd;

use std::{
    fs,
    io::{self, Cursor},
    net::TcpListener,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};

use skiff_runner::{Command, Connect, RunError, Runner};
use skiff_ssh::{SshConnector, SshRunner};
use sshd::Sshd;
use tokio::{
    io::{AsyncRead, AsyncReadExt, ReadBuf},
    time::{sleep, timeout},
};

const PATIENCE: Duration = Duration::from_secs(20);

async fn connect(sshd: &Sshd) -> SshRunner {
    SshConnector.connect(&sshd.target, PATIENCE).await.unwrap()
}

/// Waits for a file with a whole line in it, and returns the line.
async fn line_in(path: &Path) -> String {
    let read = async {
        loop {
            match fs::read_to_string(path) {
                Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                _ => sleep(Duration::from_millis(10)).await,
            }
        }
    };
    timeout(PATIENCE, read).await.expect("the command does not start")
}

/// Waits until a process is gone.
async fn gone(pid: &str) {
    let proc = Path::new("/proc").join(pid);
    let wait = async {
        while fs::read_to_string(proc.join("stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("the process lives on");
}

#[tokio::test(flavor = "multi_thread")]
async fn output_carries_status_and_both_streams() {
    let sshd = Sshd::start();
    let runner = connect(&sshd).await;
    let output = runner.output(Command::sh("cat; echo oops >&2; exit 3").stdin("hello")).await.unwrap();
    assert_eq!((output.status, output.stdout_text().as_str(), output.stderr_text().as_str()), (3, "hello", "oops\n"));
    let killed = runner.output(Command::sh("kill -TERM $$")).await.unwrap();
    assert_eq!(killed.status, 128 + 15);
    let silent = runner.output(Command::new(["true"])).await.unwrap();
    assert_eq!(silent, skiff_runner::Output::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_arrive_as_they_are() {
    let sshd = Sshd::start();
    let runner = connect(&sshd).await;
    let odd = ["a b", "", "it's", "$HOME", "*", "new\nline", "`id`", "ü", "\\"];
    let output = runner.run(Command::new(["printf", "<%s>"].into_iter().chain(odd))).await.unwrap();
    assert_eq!(output.stdout_text(), odd.map(|arg| format!("<{arg}>")).concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn much_data_passes_in_all_directions_at_once() {
    let sshd = Sshd::start();
    let runner = connect(&sshd).await;
    let bytes: Vec<u8> = (0..8_000_000_u32).flat_map(|i| i.to_le_bytes()).collect();
    let output = runner.run(Command::new(["tee", "/dev/stderr"]).stdin(bytes.clone())).await.unwrap();
    assert!(output.stdout == bytes, "{} bytes of stdout", output.stdout.len());
    assert!(output.stderr == bytes, "{} bytes of stderr", output.stderr.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_overlap_and_those_beyond_the_limit_wait_their_turn() {
    let sshd = Sshd::start();
    let runner = connect(&sshd).await;
    let flag = sshd.path("flag").display().to_string();
    let waits = runner.run(Command::sh(&format!("while ! [ -e {flag} ]; do sleep 0.02; done")));
    let acts = runner.run(Command::new(["touch", &flag]));
    let (waited, acted) = tokio::join!(waits, acts);
    waited.unwrap();
    acted.unwrap();
    let many = (0..20).map(|i| {
        let runner = runner.clone();
        tokio::spawn(async move { runner.run(Command::new(["echo", &i.to_string()])).await.unwrap().stdout_text() })
    });
    for (i, task) in many.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), format!("{i}\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_takes_too_long_is_ended_with_all_it_started() {
    let sshd = Sshd::start();
    let runner = connect(&sshd).await;
    let pid_file = sshd.path("pid");
    let script = format!("sh -c 'echo $$ >{}; sleep 600'; true", pid_file.display());
    let error = runner.run(Command::sh(&script).timeout(Duration::from_secs(2))).await.unwrap_err();
    assert!(matches!(error, RunError::Timeout { .. }), "{error}");
    gone(&line_in(&pid_file).await).await;
    runner.run(Command::new(["true"])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_nobody_waits_for_is_ended() {
    let sshd = Sshd::start();
    let runner = connect(&sshd).await;
    let pid_file = sshd.path("pid");
    let script = format!("echo $$ >{}; trap '' TERM; sleep 600 & wait; sleep 600", pid_file.display());
    let task = tokio::spawn({
        let runner = runner.clone();
        async move { runner.run(Command::sh(&script)).await }
    });
    let pid = line_in(&pid_file).await;
    task.abort();
    gone(&pid).await;
    runner.run(Command::new(["true"])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_session_is_an_error_once_and_replaced_for_the_next_command() {
    let sshd = Sshd::start();
    let runner = connect(&sshd).await;
    let error = runner.run(Command::sh("kill -KILL $PPID; sleep 600")).await.unwrap_err();
    assert!(matches!(error, RunError::Connection { .. }), "{error}");
    runner.run(Command::new(["true"])).await.unwrap();
    // This one dies while nothing runs on it.
    runner.run(Command::sh("(sleep 0.1; kill -KILL $PPID) </dev/null >/dev/null 2>&1 &")).await.unwrap();
    sleep(Duration::from_millis(300)).await;
    runner.run(Command::new(["true"])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_host_key_is_refused_without_waiting() {
    let sshd = Sshd::start();
    connect(&sshd).await;
    let mut target = sshd.target.clone();
    target.host_key = fs::read_to_string(sshd.path("stranger.pub")).unwrap();
    let start = Instant::now();
    let error = SshConnector.connect(&target, Duration::from_secs(600)).await.unwrap_err();
    assert!(error.to_string().contains("another host key"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(300));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_or_unreadable_key_is_an_error_without_waiting() {
    let sshd = Sshd::start();
    connect(&sshd).await;
    let patience = Duration::from_secs(600);
    let mut target = sshd.target.clone();
    for (key, expected) in [("stranger", "refuses the key"), ("absent", "cannot read the key"), ("host.pub", "key")] {
        target.key = sshd.path(key);
        let error = SshConnector.connect(&target, patience).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connecting_waits_for_a_server_behind_a_port_that_already_accepts() {
    let mut sshd = Sshd::prepare();
    let listener = TcpListener::bind(sshd.target.address).unwrap();
    let (target, early) = (sshd.target.clone(), 5);
    let boot = thread::spawn(move || {
        for stream in listener.incoming().take(early) {
            drop(stream);
        }
        drop(listener);
        sshd.listen();
        sshd
    });
    let runner = SshConnector.connect(&target, PATIENCE).await.unwrap();
    runner.run(Command::new(["true"])).await.unwrap();
    drop(runner);
    boot.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn patience_ends_with_the_last_cause() {
    let sshd = Sshd::prepare();
    let error = SshConnector.connect(&sshd.target, Duration::from_millis(200)).await.unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
}

/// A reader that fails after a while.
struct Failing(usize);

impl AsyncRead for Failing {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0 = match self.0.checked_sub(1) {
            Some(left) => left,
            None => return Poll::Ready(Err(io::Error::other("disk is gone"))),
        };
        let length = buf.remaining();
        buf.initialize_unfilled_to(length);
        buf.advance(length);
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn input_is_streamed_to_its_end() {
    let sshd = Sshd::start();
    let runner = connect(&sshd).await;
    let zeros = tokio::io::repeat(0).take(64 << 20);
    let output = runner.stream(Command::new(["wc", "-c"]), zeros).await.unwrap();
    assert_eq!(output.stdout_text().trim(), (64_u32 << 20).to_string());
    let empty = runner.stream(Command::new(["cat"]), Cursor::new(b"")).await.unwrap();
    assert_eq!(empty.stdout, b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_may_end_before_its_streamed_input() {
    let sshd = Sshd::start();
    let runner = connect(&sshd).await;
    let endless = tokio::io::repeat(b'x');
    let output = runner.stream(Command::sh("head -c 3; exit 4"), endless).await.unwrap();
    assert_eq!((output.status, output.stdout_text().as_str()), (4, "xxx"));
}

#[tokio::test(flavor = "multi_thread")]
async fn input_that_cannot_be_read_ends_the_command() {
    let sshd = Sshd::start();
    let runner = connect(&sshd).await;
    let pid_file = sshd.path("pid");
    let script = format!("echo $$ >{}; cat >/dev/null; sleep 600", pid_file.display());
    let error = runner.stream(Command::sh(&script), Failing(40)).await.unwrap_err();
    assert!(error.to_string().contains("disk is gone"), "{error}");
    gone(&line_in(&pid_file).await).await;
    runner.run(Command::new(["true"])).await.unwrap();
}
