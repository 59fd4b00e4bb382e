//! Where an image to load comes from. Nothing is held in memory: it flows through.

use std::{
    fmt, io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    pin::Pin,
    process::Stdio,
};

use skiff_report::ExitCode;
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
};

use crate::failure::Failure;

/// The signal that ends a program whose reader went away.
const SIGPIPE: i32 = 13;

/// An image on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// In the local Docker.
    Docker(String),
    /// A tar file, as `docker save` or OCI tools write it; also packed by gzip.
    Archive(PathBuf),
    /// A folder in OCI layout.
    Layout(PathBuf),
    /// A tar on standard input.
    Stdin,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Docker(name) => f.write_str(name),
            Self::Archive(path) | Self::Layout(path) => path.display().fmt(f),
            Self::Stdin => f.write_str("the image on standard input"),
        }
    }
}

impl Source {
    /// What a word of the command line means: a file or folder of that name wins over Docker.
    pub(super) fn find(word: &str, daemon: bool, nodes: usize) -> Result<Self, Failure> {
        let path = Path::new(word);
        if daemon {
            return Ok(Self::Docker(word.to_owned()));
        }
        if word == "-" && nodes > 1 {
            return Err(Failure::usage(
                "standard input can be read once, and the cluster has several nodes",
                "Save the image into a file and load that.",
            ));
        }
        if word == "-" {
            return Ok(Self::Stdin);
        }
        if path.join("oci-layout").is_file() {
            return Ok(Self::Layout(path.to_owned()));
        }
        if path.is_file() {
            return Ok(Self::Archive(path.to_owned()));
        }
        let looks_like_a_path = path.is_dir() || word.starts_with(['.', '/']) || word.ends_with(".tar");
        if looks_like_a_path {
            return Err(Failure::new(
                "HOST_PATH_MISSING",
                ExitCode::HOST_NOT_FOUND,
                format!("{word} is neither a tar file nor a folder in OCI layout"),
                "Name a file written by `docker save`, a folder with a file `oci-layout`, or an image of Docker.",
            ));
        }
        Ok(Self::Docker(word.to_owned()))
    }

    /// The image as a stream, and the program it comes from, if any.
    pub(super) fn open(&self) -> Result<(Pin<Box<dyn AsyncRead + Send>>, Program), Failure> {
        let child = match self {
            Self::Docker(name) => spawn(Command::new("docker").args(["image", "save", name]))?,
            Self::Layout(path) => spawn(Command::new("tar").arg("-C").arg(path).args(["-cf", "-", "."]))?,
            Self::Archive(path) if is_gzip(path)? => spawn(Command::new("gzip").arg("-dc").arg(path))?,
            Self::Archive(path) => {
                let file = std::fs::File::open(path).map_err(|error| unreadable(path, &error))?;
                return Ok((Box::pin(File::from_std(file)), Program(None)));
            }
            Self::Stdin => return Ok((Box::pin(tokio::io::stdin()), Program(None))),
        };
        let (mut child, program) = child;
        let output = child.stdout.take();
        let stream: Pin<Box<dyn AsyncRead + Send>> = match output {
            Some(output) => Box::pin(output),
            None => Box::pin(tokio::io::empty()),
        };
        Ok((stream, Program(Some((child, program)))))
    }
}

fn spawn(command: &mut Command) -> Result<(Child, String), Failure> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let child = command.spawn().map_err(|error| {
        Failure::new(
            "HOST_COMMAND_NOT_FOUND",
            ExitCode::HOST_NOT_FOUND,
            format!("cannot run `{program}`: {error}"),
            format!("Install `{program}`, or check that it is in PATH."),
        )
    })?;
    Ok((child, program))
}

/// True for a file that `docker save | gzip` made: the node only takes plain tars.
fn is_gzip(path: &Path) -> Result<bool, Failure> {
    let mut magic = [0; 2];
    let read = std::fs::File::open(path).and_then(|mut file| io::Read::read(&mut file, &mut magic));
    read.map(|_| magic == [0x1f, 0x8b]).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new("HOST_PATH_MISSING", ExitCode::HOST_NOT_FOUND, format!("cannot read {}: {error}", path.display()), "")
}

/// The program that writes the stream.
pub(super) struct Program(Option<(Child, String)>);

impl Program {
    /// Waits for its end, after the stream's. Its complaint is worth more than the node's, which
    /// only sees a stream that stops; but one that was ended because the node read no further has
    /// no complaint of its own.
    pub(super) async fn finish(self, source: &Source) -> Result<(), Failure> {
        let Some((mut child, program)) = self.0 else { return Ok(()) };
        let mut complaint = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            // What cannot be read only makes the message shorter.
            let _ = stderr.read_to_string(&mut complaint).await;
        }
        let failed = |text: &str| {
            Failure::new(
                "HOST_IMAGE_SAVE",
                ExitCode::HOST_NOT_FOUND,
                format!("`{program}` cannot deliver {source}: {text}"),
                "`docker images` lists the images of the local Docker.",
            )
        };
        match child.wait().await {
            Ok(status) if status.success() || status.signal() == Some(SIGPIPE) => Ok(()),
            Ok(status) => Err(failed(complaint.trim().lines().last().unwrap_or(&status.to_string()))),
            Err(error) => Err(failed(&error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_and_layouts_are_told_from_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("layout")).unwrap();
        fs::write(path("layout/oci-layout"), "{}").unwrap();
        fs::write(path("image.tar"), "").unwrap();
        let find = |word: &str| Source::find(word, false, 1);
        assert_eq!(find("busybox:1.36"), Ok(Source::Docker("busybox:1.36".to_owned())));
        assert_eq!(find("-"), Ok(Source::Stdin));
        assert_eq!(find(path("image.tar").to_str().unwrap()), Ok(Source::Archive(path("image.tar"))));
        assert_eq!(find(path("layout").to_str().unwrap()), Ok(Source::Layout(path("layout"))));
        assert_eq!(find("./absent").unwrap_err().exit, ExitCode::HOST_NOT_FOUND);
        assert_eq!(find(folder.path().to_str().unwrap()).unwrap_err().exit, ExitCode::HOST_NOT_FOUND);
        assert_eq!(Source::find("./absent", true, 1), Ok(Source::Docker("./absent".to_owned())));
        assert_eq!(Source::find("-", false, 2).unwrap_err().exit, ExitCode::PROGRAM_USAGE);
    }

    #[tokio::test]
    async fn a_node_that_reads_no_further_is_not_the_programs_fault() {
        let (stream, program) = {
            let (mut child, name) = spawn(Command::new("sh").args(["-c", "kill -PIPE $$"])).unwrap();
            (child.stdout.take(), Program(Some((child, name))))
        };
        drop(stream);
        assert_eq!(program.finish(&Source::Stdin).await, Ok(()));
    }

    #[tokio::test]
    async fn a_layout_flows_as_a_tar() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("oci-layout"), "{}").unwrap();
        let source = Source::Layout(folder.path().to_owned());
        let (mut stream, program) = source.open().unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        program.finish(&source).await.unwrap();
        assert!(bytes.windows(10).any(|window| window == b"oci-layout"));
    }
}
