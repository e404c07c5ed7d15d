//! Docker's API over HTTP, which Podman speaks too: `GET /containers/ID/json`.

use std::{
    collections::BTreeMap,
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1};
use serde::Deserialize;

use super::{
    answer::{Answer, AskError},
    found::{Found, Mount},
    sockets::Socket,
};

/// The longest answer that is read, in bytes.
const MAX: usize = 1 << 20;

/// What is read of the answer. A member that is missing or null is empty.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    #[serde(default)]
    name: String,
    /// The id of the image.
    #[serde(default)]
    image: String,
    #[serde(default)]
    config: Option<Config>,
    #[serde(default)]
    host_config: Option<HostConfig>,
    #[serde(default)]
    mounts: Option<Vec<Mounted>>,
    #[serde(default)]
    created: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    image: String,
    labels: Option<BTreeMap<String, String>>,
    healthcheck: Option<Healthcheck>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Healthcheck {
    test: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    privileged: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Mounted {
    source: String,
    destination: String,
    mode: String,
    #[serde(rename = "RW")]
    is_writable: bool,
    propagation: String,
}

/// Asks for a container by its whole id.
pub(super) async fn ask(socket: &Socket, id: &str) -> Result<Answer, AskError> {
    let (mut sender, connection) =
        http1::handshake(socket.connect().await?).await.map_err(AskError::spoken)?;
    let request = Request::get(format!("/containers/{id}/json"))
        .header("host", "localhost")
        .body(Empty::<Bytes>::new())
        .map_err(AskError::spoken)?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(AskError::spoken)?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(Answer::Unknown),
            status => return Err(AskError::spoken(format!("it answers {status}"))),
        }
        let body = Limited::new(answer.into_body(), MAX).collect().await.map_err(AskError::spoken)?;
        read(&body.to_bytes(), id)
    };
    // The connection does nothing unless it is polled. What it has brought is looked at before its end is.
    let (mut exchange, mut connection) = (pin!(exchange), pin!(connection));
    poll_fn(|cx| {
        let ended = connection.as_mut().poll(cx);
        match (exchange.as_mut().poll(cx), ended) {
            (Poll::Ready(answer), _) => Poll::Ready(answer),
            (Poll::Pending, Poll::Ready(Err(error))) => Poll::Ready(Err(AskError::spoken(error))),
            (Poll::Pending, Poll::Ready(Ok(()))) => Poll::Ready(Err(AskError::spoken("it hung up"))),
            (Poll::Pending, Poll::Pending) => Poll::Pending,
        }
    })
    .await
}

/// Reads the answer about a container.
fn read(body: &[u8], id: &str) -> Result<Answer, AskError> {
    let told: Inspected = serde_json::from_slice(body).map_err(AskError::spoken)?;
    if told.id != id {
        return Err(AskError::spoken("it answers about another container"));
    }
    let config = told.config.unwrap_or_default();
    let mounts = told.mounts.into_iter().flatten().map(|mount| Mount {
        source: mount.source,
        destination: mount.destination,
        mode: mount.mode,
        is_writable: mount.is_writable,
        propagation: mount.propagation,
    });
    let created = told.created.parse().map_or(0, |at: jiff::Timestamp| at.as_second());
    Ok(Answer::Found(Found {
        name: told.name.trim_start_matches('/').to_owned(),
        image: config.image,
        image_id: told.image,
        is_privileged: told.host_config.unwrap_or_default().privileged,
        labels: config.labels.unwrap_or_default(),
        mounts: mounts.collect(),
        healthcheck: command(config.healthcheck.and_then(|check| check.test).unwrap_or_default()),
        created,
        ..Found::default()
    }))
}

/// Returns the command of a check: `["CMD", "curl", "-f"]`, or `["CMD-SHELL", "curl -f || exit 1"]`.
fn command(test: Vec<String>) -> Vec<String> {
    match test.first().map(String::as_str) {
        Some("CMD") => test.into_iter().skip(1).collect(),
        Some("CMD-SHELL") => {
            ["/bin/sh", "-c"].map(str::to_owned).into_iter().chain(test.into_iter().skip(1)).collect()
        }
        _ => Vec::new(),
    }
}
