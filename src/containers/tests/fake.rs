//! Sockets that stand for runtimes.

use std::{
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use http_body_util::{BodyExt, StreamBody};
use hyper::{
    HeaderMap, Request, Response,
    body::{Bytes, Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;

use super::super::cri::{
    ContainerMetadata, ContainerStatus, ContainerStatusResponse, CriMount, ImageSpec, Metadata,
    SandboxStatus, SandboxStatusResponse, StatusRequest,
};

/// A socket, which is gone with it. Its threads end with the test's process.
pub struct Fake {
    folder: tempfile::TempDir,
    requests: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<u8>>>,
    cri: Option<Arc<Cri>>,
}

/// What a runtime with CRI knows.
pub struct Cri {
    pub containers: Vec<ContainerStatusResponse>,
    pub sandboxes: Vec<SandboxStatusResponse>,
}

impl Fake {
    /// Answers every connection with these bytes, then closes it.
    pub fn http(answer: Vec<u8>) -> Fake {
        Fake::http_in_turn(vec![answer])
    }

    /// The same with the next answer each time; the last one stays.
    pub fn http_in_turn(answers: Vec<Vec<u8>>) -> Fake {
        Fake::serve(None, move |mut stream, number, heard| {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            *heard.lock().unwrap() = request[..length].to_vec();
            // The client may go away in the middle.
            let _ = stream.write_all(&answers[number.min(answers.len() - 1)]);
        })
    }

    /// Says nothing to the first connection, as a runtime that starts; then answers with these bytes.
    pub fn late(answer: Vec<u8>) -> Fake {
        Fake::serve(None, move |mut stream, number, _| {
            if number == 0 {
                thread::sleep(Duration::from_secs(60));
            }
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&answer);
        })
    }

    /// Accepts connections and says nothing.
    pub fn silent() -> Fake {
        Fake::serve(None, |stream, _, _| {
            thread::sleep(Duration::from_secs(60));
            drop(stream);
        })
    }

    /// Answers as a runtime with CRI does.
    pub fn grpc(cri: Cri) -> Fake {
        Fake::grpc_of(Arc::new(cri), false)
    }

    /// Answers with its first container, whatever it is asked for.
    pub fn always(self) -> Fake {
        Fake::grpc_of(self.cri.clone().unwrap(), true)
    }

    fn grpc_of(cri: Arc<Cri>, always: bool) -> Fake {
        Fake::serve(Some(cri.clone()), move |stream, _, _| {
            let cri = cri.clone();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                stream.set_nonblocking(true).unwrap();
                let stream = TokioIo::new(tokio::net::UnixStream::from_std(stream).unwrap());
                let service = service_fn(move |request| {
                    let cri = cri.clone();
                    async move { Ok::<_, hyper::Error>(cri.answer(request, always).await) }
                });
                let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await;
            });
        })
    }

    fn serve(
        cri: Option<Arc<Cri>>,
        serve: impl Fn(UnixStream, usize, &Mutex<Vec<u8>>) + Send + Sync + 'static,
    ) -> Fake {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        let (requests, heard) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (count, ears, serve) = (requests.clone(), heard.clone(), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let (serve, ears) = (serve.clone(), ears.clone());
                thread::spawn(move || serve(stream, number, &ears));
            }
        });
        Fake { folder, requests, heard, cri }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Returns the number of connections so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Returns the last request.
    pub fn heard(&self) -> String {
        String::from_utf8(self.heard.lock().unwrap().clone()).unwrap()
    }
}

impl Cri {
    async fn answer(
        &self,
        request: Request<Incoming>,
        always: bool,
    ) -> Response<impl hyper::body::Body<Data = Bytes, Error = hyper::Error> + use<>> {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let asked = StatusRequest::decode(&body[5..]).unwrap();
        let message = match path.as_str() {
            "/runtime.v1.RuntimeService/ContainerStatus" => {
                let is_it = |known: &&ContainerStatusResponse| {
                    always || known.status.as_ref().is_some_and(|status| status.id == asked.id)
                };
                self.containers.iter().find(is_it).map(Message::encode_to_vec)
            }
            "/runtime.v1.RuntimeService/PodSandboxStatus" => {
                let is_it = |known: &&SandboxStatusResponse| {
                    known.status.as_ref().is_some_and(|status| status.id == asked.id)
                };
                self.sandboxes.iter().find(is_it).map(Message::encode_to_vec)
            }
            other => panic!("{other}"),
        };
        let mut trailers = HeaderMap::new();
        // Not found is 5.
        trailers.insert("grpc-status", if message.is_some() { "0" } else { "5" }.parse().unwrap());
        let framed = message.map(|message| {
            let mut framed = vec![0];
            framed.extend((message.len() as u32).to_be_bytes());
            framed.extend(message);
            Frame::data(Bytes::from(framed))
        });
        let frames: Vec<_> = framed.into_iter().chain([Frame::trailers(trailers)]).map(Ok).collect();
        let body = StreamBody::new(futures_util::stream::iter(frames));
        Response::builder().header("content-type", "application/grpc").body(body).unwrap()
    }
}

fn labels(all: &[(&str, &str)]) -> std::collections::HashMap<String, String> {
    all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What is known of a container in a sandbox, as containerd tells it.
pub fn container(id: &str, sandbox: &str) -> ContainerStatusResponse {
    let info = format!(
        r#"{{"sandboxID":"{sandbox}","config":{{"linux":{{"security_context":{{"privileged":true}}}}}},"pid":1}}"#
    );
    ContainerStatusResponse {
        status: Some(ContainerStatus {
            id: id.into(),
            metadata: Some(ContainerMetadata { name: "shop".into() }),
            created_at: 1_700_000_000_000_000_000,
            image: Some(ImageSpec { image: "quay.io/shop:2".into(), ..ImageSpec::default() }),
            image_ref: "quay.io/shop@sha256:d1".into(),
            labels: labels(&[("io.kubernetes.pod.name", "shop-1"), ("io.kubernetes.container.name", "shop")]),
            mounts: vec![CriMount {
                container_path: "/data".into(),
                host_path: "/srv".into(),
                ..CriMount::default()
            }],
            image_id: "sha256:e1".into(),
        }),
        info: labels(&[("info", &info)]),
    }
}

/// What is known of the sandbox of a pod.
pub fn sandbox(id: &str) -> SandboxStatusResponse {
    let metadata = Metadata { name: "shop-1".into(), uid: "u1".into(), namespace: "store".into() };
    SandboxStatusResponse {
        status: Some(SandboxStatus {
            id: id.into(),
            metadata: Some(metadata),
            created_at: 1_700_000_000_000_000_000,
            labels: labels(&[("tier", "front")]),
        }),
    }
}
