//! Programs in pods that are spoken to, over the API server's websocket.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use kube::api::{AttachParams, AttachedProcess};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::{
    Client, KubeError, PodConnection, Trouble,
    attach::{Attached, Output},
    deadline::Deadline,
    exec::{first_running, no_pod},
    follow::Collection,
};

/// A server that takes longer to start a program does not answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// What may be under way.
const BUFFER: usize = 1 << 16;

/// A program's standard input and output as one stream. The program ends with it.
struct Talk {
    input: Pin<Box<dyn AsyncWrite + Send>>,
    output: Output,
    /// Closes the websocket when it is dropped, and with it the program's input.
    _process: AttachedProcess,
}

impl AsyncRead for Talk {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Talk {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.input.as_mut().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().poll_shutdown(cx)
    }
}

impl Client {
    /// Starts a program in the first running pod of `namespace` that `selector` matches, in its first container,
    /// and connects to its standard input and output.
    ///
    /// # Errors
    /// When there is no such pod, or the way to it does not open. Whether the program could be started is told
    /// by the connection, with what it wrote to its standard error.
    pub async fn talk_to_pod(
        &self,
        namespace: &str,
        selector: &str,
        argv: &[&str],
    ) -> Result<PodConnection, KubeError> {
        let deadline = Deadline::after(PATIENCE);
        let pods = Collection::labelled(format!("/api/v1/namespaces/{namespace}/pods"), selector);
        let pod = self.follow(pods, &deadline, first_running).await;
        let pod = pod.map_err(|unmet| no_pod(namespace, selector, &deadline, unmet))?;
        let refused = |source| KubeError::Refused { object: format!("a command in pod {namespace}/{pod}"), source };
        let params = AttachParams::default().stdin(true).max_stdin_buf_size(BUFFER).max_stdout_buf_size(BUFFER);
        let open = Attached::start(&self.kube, (namespace, &pod), argv, params);
        let Attached { input, output, errors, process, .. } =
            deadline.limit(deadline.left(), open).await.map_err(refused)?;
        let Some(input) = input else {
            return Err(refused(Trouble::Garbled { detail: "no stream for the program".to_owned() }));
        };
        let talk = Talk { input, output, _process: process };
        Ok(PodConnection { stream: Box::new(talk), refusal: Box::pin(last_words(errors)) })
    }
}

/// What a program wrote to its standard error, if anything.
async fn last_words(mut errors: Output) -> Option<String> {
    let mut bytes = Vec::new();
    let _ = errors.read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    Some(text).filter(|text| !text.is_empty())
}
