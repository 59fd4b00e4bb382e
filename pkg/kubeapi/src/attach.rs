//! Programs in pods and their standard streams, over the API server's websocket.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Status};
use kube::api::{Api, AttachParams, AttachedProcess};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Trouble;

/// How a program ended; `None` where the connection to it broke.
pub(crate) type Ending = Shared<BoxFuture<'static, Option<Status>>>;

/// A program that was started in a pod. Dropping it closes the websocket, and with it the program's input.
pub(crate) struct Attached {
    /// Present if it was asked for.
    pub(crate) input: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    pub(crate) output: Output,
    pub(crate) errors: Output,
    pub(crate) ending: Ending,
    pub(crate) process: AttachedProcess,
}

impl Attached {
    /// Starts a program in a pod's first container, with its standard output and error, and its input if
    /// `params` ask for that.
    pub(crate) async fn start(
        kube: &kube::Client,
        (namespace, pod): (&str, &str),
        argv: &[&str],
        params: AttachParams,
    ) -> Result<Self, Trouble> {
        let api: Api<Pod> = Api::namespaced(kube.clone(), namespace);
        let params = params.stdout(true).stderr(true);
        let mut process = api.exec(pod, argv.iter().copied(), &params).await?;
        let status = process.take_status();
        let ending = async { status?.await }.boxed().shared();
        let output =
            |half: Option<_>| Output { half: half.map(|half| Box::pin(half) as _), ending: Some(ending.clone()) };
        let (output, errors) = (output(process.stdout()), output(process.stderr()));
        let input = process.stdin().map(|input| Box::pin(input) as _);
        Ok(Self { input, output, errors, ending, process })
    }
}

/// What a program writes. It ends with the program and with the connection, whereas kube's own streams of a
/// connection that was reset never do.
pub(crate) struct Output {
    half: Option<Pin<Box<dyn AsyncRead + Send>>>,
    /// None once the program has ended.
    ending: Option<Ending>,
}

impl AsyncRead for Output {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(half) = &mut self.half else { return Poll::Ready(Ok(())) };
        if let Poll::Ready(read) = half.as_mut().poll_read(cx, buffer) {
            return Poll::Ready(read);
        }
        match self.ending.as_mut().map(|ending| ending.poll_unpin(cx)) {
            Some(Poll::Ready(None)) => {
                self.half = None;
                Poll::Ready(Ok(()))
            }
            // kube ends the streams of a program that has ended.
            Some(Poll::Ready(Some(_))) => {
                self.ending = None;
                Poll::Pending
            }
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::SinkExt;
    use http::HeaderValue;
    use tokio::{io::AsyncReadExt, net::TcpListener, sync::oneshot};
    use tokio_tungstenite::tungstenite::{
        Message,
        handshake::server::{Request, Response},
    };

    use super::*;

    /// Starts a program with an API server that says these messages of it, and resets the connection when it is
    /// told so.
    async fn attached(messages: &'static [&'static [u8]]) -> (Attached, oneshot::Sender<()>) {
        let (reset, told) = oneshot::channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_zero_linger().unwrap();
            let agree = |_: &Request, mut response: Response| {
                let protocol = HeaderValue::from_static("v4.channel.k8s.io");
                response.headers_mut().insert("sec-websocket-protocol", protocol);
                Ok(response)
            };
            let mut socket = tokio_tungstenite::accept_hdr_async(stream, agree).await.unwrap();
            for message in messages {
                socket.send(Message::binary(message.to_vec())).await.unwrap();
            }
            let _ = told.await;
        });
        let kube = kube::Client::try_from(kube::Config::new(server.parse().unwrap())).unwrap();
        let attached = Attached::start(&kube, ("default", "web"), &["true"], AttachParams::default()).await;
        (attached.unwrap(), reset)
    }

    async fn all(stream: &mut Output) -> String {
        let mut text = String::new();
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut text)).await;
        read.expect("an end").unwrap();
        text
    }

    #[tokio::test]
    async fn streams_end_with_a_connection_that_is_reset() {
        let (mut attached, reset) = attached(&[b"\x01half"]).await;
        let mut half = [0; 4];
        attached.output.read_exact(&mut half).await.unwrap();
        assert_eq!(&half, b"half");
        reset.send(()).unwrap();
        assert_eq!(all(&mut attached.output).await, "");
        assert_eq!(all(&mut attached.errors).await, "");
        assert_eq!(all(&mut attached.output).await, "", "and stay so");
        assert_eq!(attached.ending.await, None);
    }

    #[tokio::test]
    async fn streams_of_a_program_that_ended_are_whole() {
        let messages: &[&[u8]] = &[b"\x01one ", b"\x02wrong", b"\x01two", b"\x03{\"status\":\"Success\"}"];
        let (mut attached, _reset) = attached(messages).await;
        assert_eq!(attached.ending.clone().await.unwrap().status.as_deref(), Some("Success"));
        assert_eq!(
            (all(&mut attached.output).await, all(&mut attached.errors).await),
            ("one two".into(), "wrong".into())
        );
    }
}
