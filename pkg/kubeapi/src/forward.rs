//! Connections to ports of pods, over the API server's websocket.

use std::{future::Future, pin::Pin, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Client, KubeError, deadline::Deadline};

/// A server that takes longer to open a connection does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes that go to and fro.
pub trait PodStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> PodStream for T {}

/// A connection to a port of a pod, or to a program in one.
pub struct PodConnection {
    /// What goes to and fro. The way to the pod cannot be closed alone: closing it closes both.
    pub stream: Box<dyn PodStream>,
    /// What the other end says when it cannot go on, e.g. that nothing listens at the port. Ends with the connection.
    pub refusal: Pin<Box<dyn Future<Output = Option<String>> + Send>>,
}

impl Client {
    /// Connects to a port of a running pod. TCP only.
    ///
    /// # Errors
    /// When there is no such pod, or the way to it does not open. Whether anything listens at the port is
    /// told by the connection.
    pub async fn connect_to_pod(&self, namespace: &str, pod: &str, port: u16) -> Result<PodConnection, KubeError> {
        let api: Api<Pod> = Api::namespaced(self.kube.clone(), namespace);
        let ports = [port];
        let open = async { Ok(api.portforward(pod, &ports).await?) };
        let refused = |source| KubeError::Refused { object: format!("a connection to pod {namespace}/{pod}"), source };
        let mut forwarder = Deadline::after(PATIENCE).limit(PATIENCE, open).await.map_err(refused)?;
        let (Some(stream), Some(refusal)) = (forwarder.take_stream(port), forwarder.take_error(port)) else {
            return Err(refused(crate::Trouble::Garbled { detail: "no stream for the port".to_owned() }));
        };
        // The forwarder works on by itself until the stream ends.
        Ok(PodConnection { stream: Box::new(stream), refusal: Box::pin(refusal) })
    }
}
