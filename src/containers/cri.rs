//! Kubernetes' CRI over gRPC: `ContainerStatus`, and `PodSandboxStatus` for the container that holds a pod's namespaces.
//!
//! The messages have the fields that are read, with the numbers of `runtime.v1`.

use std::{
    collections::{BTreeMap, HashMap},
    io,
};

use hyper::http::uri::PathAndQuery;
use prost::Message;
use serde::Deserialize;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::{
    answer::{Answer, AskError},
    found::{Found, Mount},
    sockets::Socket,
};

/// The longest answer that is read, in bytes.
const MAX: usize = 1 << 20;
/// The label with the id of a container's sandbox, as sysdig has it.
const SANDBOX: &str = "io.kubernetes.sandbox.id";

/// `ContainerStatusRequest` and `PodSandboxStatusRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StatusRequest {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(bool, tag = "2")]
    pub verbose: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ContainerStatusResponse {
    #[prost(message, optional, tag = "1")]
    pub status: Option<ContainerStatus>,
    #[prost(map = "string, string", tag = "2")]
    pub info: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ContainerStatus {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(message, optional, tag = "2")]
    pub metadata: Option<ContainerMetadata>,
    #[prost(int64, tag = "4")]
    pub created_at: i64,
    #[prost(message, optional, tag = "8")]
    pub image: Option<ImageSpec>,
    #[prost(string, tag = "9")]
    pub image_ref: String,
    #[prost(map = "string, string", tag = "12")]
    pub labels: HashMap<String, String>,
    #[prost(message, repeated, tag = "14")]
    pub mounts: Vec<CriMount>,
    #[prost(string, tag = "17")]
    pub image_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ContainerMetadata {
    #[prost(string, tag = "1")]
    pub name: String,
}

/// `PodSandboxMetadata`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Metadata {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub uid: String,
    #[prost(string, tag = "3")]
    pub namespace: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ImageSpec {
    #[prost(string, tag = "1")]
    pub image: String,
    #[prost(string, tag = "18")]
    pub user_specified_image: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CriMount {
    #[prost(string, tag = "1")]
    pub container_path: String,
    #[prost(string, tag = "2")]
    pub host_path: String,
    #[prost(bool, tag = "3")]
    pub readonly: bool,
    #[prost(int32, tag = "5")]
    pub propagation: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SandboxStatusResponse {
    #[prost(message, optional, tag = "1")]
    pub status: Option<SandboxStatus>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SandboxStatus {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(message, optional, tag = "2")]
    pub metadata: Option<Metadata>,
    #[prost(int64, tag = "4")]
    pub created_at: i64,
    #[prost(map = "string, string", tag = "7")]
    pub labels: HashMap<String, String>,
}

/// What containerd and CRI-O say besides, as JSON below the key `info`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Info {
    #[serde(rename = "sandboxID")]
    sandbox: String,
    /// CRI-O.
    privileged: bool,
    /// containerd.
    config: InfoConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InfoConfig {
    linux: Option<InfoLinux>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InfoLinux {
    security_context: Option<SecurityContext>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SecurityContext {
    privileged: bool,
}

/// Asks for a container by its whole id.
pub(super) async fn ask(socket: &Socket, id: &str) -> Result<Answer, AskError> {
    let socket = socket.clone();
    let connect = service_fn(move |_| {
        let socket = socket.clone();
        async move { socket.connect().await }
    });
    // The name goes into a header alone.
    let channel = Endpoint::from_static("http://localhost")
        .connect_with_connector(connect)
        .await
        .map_err(unconnected)?;
    let mut client = Grpc::new(channel).max_decoding_message_size(MAX);
    let request = StatusRequest { id: id.to_owned(), verbose: true };
    match call(&mut client, "ContainerStatus", request).await {
        Ok(told) => container(told, id),
        Err(status) if is_unknown(&status) => {
            let request = StatusRequest { id: id.to_owned(), verbose: false };
            match call(&mut client, "PodSandboxStatus", request).await {
                Ok(told) => sandbox(told, id),
                Err(status) if is_unknown(&status) => Ok(Answer::Unknown),
                Err(status) => Err(AskError::spoken(status.message())),
            }
        }
        Err(status) => Err(AskError::spoken(status.message())),
    }
}

/// Returns the error of a connection as that of the socket, if it is one.
fn unconnected(error: tonic::transport::Error) -> AskError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return io::Error::new(error.kind(), error.to_string()).into();
        }
        source = cause.source();
    }
    AskError::spoken(error)
}

async fn call<T: Message + Default + 'static>(
    client: &mut Grpc<Channel>,
    method: &str,
    request: StatusRequest,
) -> Result<T, Status> {
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::try_from(format!("/runtime.v1.RuntimeService/{method}"))
        .map_err(|error| Status::internal(error.to_string()))?;
    let codec: ProstCodec<StatusRequest, T> = ProstCodec::default();
    Ok(client.unary(Request::new(request), path, codec).await?.into_inner())
}

/// Returns whether the runtime does not know the id. containerd and CRI-O before 1.20 say so in words alone.
fn is_unknown(status: &Status) -> bool {
    status.code() == Code::NotFound
        || status.code() == Code::Unknown
            && (status.message().contains("not found") || status.message().contains("could not find"))
}

fn container(told: ContainerStatusResponse, id: &str) -> Result<Answer, AskError> {
    let status = told.status.filter(|status| status.id == id).ok_or_else(other)?;
    let info: Info =
        told.info.get("info").and_then(|info| serde_json::from_str(info).ok()).unwrap_or_default();
    let image = status.image.unwrap_or_default();
    let linux = info.config.linux.and_then(|linux| linux.security_context).unwrap_or_default();
    let mut labels: BTreeMap<_, _> = status.labels.into_iter().collect();
    if !info.sandbox.is_empty() {
        labels.insert(SANDBOX.to_owned(), info.sandbox);
    }
    let digest = status.image_ref.split_once('@').map(|(_, digest)| digest.to_owned());
    let mounts = status.mounts.into_iter().map(|mount| Mount {
        source: mount.host_path,
        destination: mount.container_path,
        mode: String::new(),
        is_writable: !mount.readonly,
        propagation: propagation(mount.propagation).to_owned(),
    });
    Ok(Answer::Found(Found {
        name: status.metadata.unwrap_or_default().name,
        image: if image.user_specified_image.is_empty() { image.image } else { image.user_specified_image },
        image_id: if status.image_id.is_empty() { status.image_ref } else { status.image_id },
        image_digest: digest.unwrap_or_default(),
        is_privileged: info.privileged || linux.privileged,
        labels,
        mounts: mounts.collect(),
        created: status.created_at / 1_000_000_000,
        ..Found::default()
    }))
}

fn sandbox(told: SandboxStatusResponse, id: &str) -> Result<Answer, AskError> {
    let status = told.status.filter(|status| status.id == id).ok_or_else(other)?;
    let pod = status.metadata.unwrap_or_default();
    let mut labels: BTreeMap<_, _> = status.labels.into_iter().collect();
    for (name, value) in [("name", &pod.name), ("namespace", &pod.namespace), ("uid", &pod.uid)] {
        labels.entry(format!("io.kubernetes.pod.{name}")).or_insert_with(|| value.clone());
    }
    // A sandbox is its own.
    labels.insert(SANDBOX.to_owned(), id.to_owned());
    let created = status.created_at / 1_000_000_000;
    Ok(Answer::Found(Found { name: pod.name, is_sandbox: true, labels, created, ..Found::default() }))
}

fn other() -> AskError {
    AskError::spoken("it answers about another container")
}

/// Returns the name of a `MountPropagation`.
const fn propagation(number: i32) -> &'static str {
    match number {
        0 => "private",
        1 => "rslave",
        2 => "rshared",
        _ => "unknown",
    }
}
