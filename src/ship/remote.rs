//! The store that captures go to, one request at a time.
//!
//! The crate behind it is asynchronous: a runtime of one thread is here, and nowhere else.

use std::{
    io,
    ops::Range,
    path,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use object_store::{
    BackoffConfig, ClientConfigKey, MultipartUpload, ObjectStore, ObjectStoreExt, ObjectStoreScheme,
    RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    local::LocalFileSystem,
    multipart::{MultipartStore, PartId},
    path::Path as Key,
};
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use url::Url;

/// How often a waiting request looks whether it should stop.
const LOOK: Duration = Duration::from_millis(100);
/// How long one request may take: a part on a slow line, not a whole file.
const REQUEST: &str = "120s";

/// Why a request failed.
#[derive(Debug, Error)]
pub(super) enum RemoteError {
    /// A signal came.
    #[error("stopped by a signal")]
    Stopped,
    /// What the request is about does not exist: the object, the upload, or the bucket.
    #[error("the store does not have it: create the bucket or container, or correct the URL")]
    NotFound(#[source] object_store::Error),
    /// The store refuses us.
    #[error(
        "the store refuses: check the credentials in the environment (AWS_..., GOOGLE_..., AZURE_...), and what they permit"
    )]
    Refused(#[source] object_store::Error),
    /// The store cannot be reached, or has an error of its own.
    #[error("the store cannot be used now: run `scapd ship` again, it goes on where it was")]
    Away(#[source] object_store::Error),
}

impl From<object_store::Error> for RemoteError {
    fn from(error: object_store::Error) -> RemoteError {
        use object_store::Error as E;
        match error {
            E::NotFound { .. } => RemoteError::NotFound(error),
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => RemoteError::Refused(error),
            _ => RemoteError::Away(error),
        }
    }
}

/// A store of objects. A failed request was repeated already, as long as that makes sense.
pub(super) trait Remote {
    /// Makes a small object, or replaces it: as a whole or not at all.
    fn put(&mut self, key: &Key, bytes: Vec<u8>) -> Result<(), RemoteError>;
    /// Starts an object in parts, and returns the name of the upload.
    fn begin(&mut self, key: &Key) -> Result<String, RemoteError>;
    /// Whether another process can go on with an upload.
    fn is_resumable(&self) -> bool;
    /// Sends a part, counted from 0, and returns the name of the part.
    fn part(&mut self, key: &Key, upload: &str, number: usize, bytes: Vec<u8>)
    -> Result<String, RemoteError>;
    /// Makes the object of its parts: it is there as a whole, or not at all.
    fn complete(&mut self, key: &Key, upload: &str, parts: &[String]) -> Result<(), RemoteError>;
    /// Drops the parts of an upload.
    fn abort(&mut self, key: &Key, upload: &str) -> Result<(), RemoteError>;
    /// Returns the size of an object in bytes; `None` if there is none.
    fn size(&mut self, key: &Key) -> Result<Option<u64>, RemoteError>;
    /// Reads a part of an object.
    fn read(&mut self, key: &Key, range: Range<u64>) -> Result<Vec<u8>, RemoteError>;
    /// Whether the store compares what it gets with a SHA-256.
    fn checks_sums(&self) -> bool;
}

/// A store of the crate `object_store`.
pub(super) struct Store {
    runtime: Runtime,
    store: Arc<dyn ObjectStore>,
    /// The uploads of the store, if they outlive a process.
    uploads: Option<Arc<dyn MultipartStore>>,
    /// The upload of this process, where they do not.
    own: Option<Box<dyn MultipartUpload>>,
    checks_sums: bool,
    /// The number of a signal, or 0.
    signal: Arc<AtomicUsize>,
}

impl Store {
    /// Connects to the store of a URL. Returns it with the prefix of all keys. `retry` is how long requests are repeated.
    ///
    /// # Errors
    /// If the URL is of no known store, or the environment lacks what the store needs.
    pub fn open(
        url: &Url,
        retry: Duration,
        signal: Arc<AtomicUsize>,
    ) -> Result<(Store, Key), object_store::Error> {
        let (scheme, prefix) = ObjectStoreScheme::parse(url)?;
        let retry = RetryConfig {
            backoff: BackoffConfig { init_backoff: Duration::from_millis(200), ..BackoffConfig::default() },
            max_retries: usize::MAX,
            retry_timeout: retry,
        };
        // reqwest asks for it. If another one is installed already, that one does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let timeout = ClientConfigKey::Timeout;
        let (store, uploads, checks_sums): (Arc<dyn ObjectStore>, Option<Arc<dyn MultipartStore>>, bool) =
            match scheme {
                ObjectStoreScheme::AmazonS3 => {
                    let builder = AmazonS3Builder::from_env()
                        .with_url(url.as_str())
                        .with_config(AmazonS3ConfigKey::Client(timeout), REQUEST)
                        .with_checksum_algorithm(Checksum::SHA256)
                        .with_retry(retry);
                    let store = Arc::new(builder.build()?);
                    (store.clone(), Some(store), true)
                }
                ObjectStoreScheme::GoogleCloudStorage => {
                    let builder = GoogleCloudStorageBuilder::from_env()
                        .with_url(url.as_str())
                        .with_config(GoogleConfigKey::Client(timeout), REQUEST)
                        .with_retry(retry);
                    let store = Arc::new(builder.build()?);
                    (store.clone(), Some(store), false)
                }
                ObjectStoreScheme::MicrosoftAzure => {
                    let builder = MicrosoftAzureBuilder::from_env()
                        .with_url(url.as_str())
                        .with_config(AzureConfigKey::Client(timeout), REQUEST)
                        .with_retry(retry);
                    let store = Arc::new(builder.build()?);
                    (store.clone(), Some(store), false)
                }
                ObjectStoreScheme::Local => {
                    let folder = path::Path::new("/").join(prefix.as_ref());
                    let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
                    return Ok((Store::over(Arc::new(store), None, false, signal)?, Key::default()));
                }
                _ => {
                    return Err(object_store::Error::NotSupported {
                        source: format!("{url} is none of s3://, gs://, az:// and file://").into(),
                    });
                }
            };
        Ok((Store::over(store, uploads, checks_sums, signal)?, prefix))
    }

    /// Puts a runtime around a store.
    pub fn over(
        store: Arc<dyn ObjectStore>,
        uploads: Option<Arc<dyn MultipartStore>>,
        checks_sums: bool,
        signal: Arc<AtomicUsize>,
    ) -> Result<Store, object_store::Error> {
        let failed =
            |source: io::Error| object_store::Error::Generic { store: "runtime", source: source.into() };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        Ok(Store { runtime, store, uploads, own: None, checks_sums, signal })
    }
}

/// Waits for a request, until it is answered or a signal comes.
fn wait<T>(
    runtime: &Runtime,
    signal: &AtomicUsize,
    request: impl Future<Output = object_store::Result<T>>,
) -> Result<T, RemoteError> {
    runtime.block_on(async {
        let mut request = pin!(request);
        loop {
            if signal.load(Ordering::Relaxed) != 0 {
                return Err(RemoteError::Stopped);
            }
            if let Ok(answer) = tokio::time::timeout(LOOK, &mut request).await {
                return answer.map_err(RemoteError::from);
            }
        }
    })
}

impl Remote for Store {
    fn put(&mut self, key: &Key, bytes: Vec<u8>) -> Result<(), RemoteError> {
        wait(&self.runtime, &self.signal, self.store.put(key, bytes.into())).map(drop)
    }

    fn begin(&mut self, key: &Key) -> Result<String, RemoteError> {
        match &self.uploads {
            Some(uploads) => wait(&self.runtime, &self.signal, uploads.create_multipart(key)),
            None => {
                self.own = Some(wait(&self.runtime, &self.signal, self.store.put_multipart(key))?);
                Ok(String::new())
            }
        }
    }

    fn is_resumable(&self) -> bool {
        self.uploads.is_some()
    }

    fn part(
        &mut self,
        key: &Key,
        upload: &str,
        number: usize,
        bytes: Vec<u8>,
    ) -> Result<String, RemoteError> {
        match (&self.uploads, &mut self.own) {
            (Some(uploads), _) => {
                let upload = upload.to_owned();
                let sent = uploads.put_part(key, &upload, number, bytes.into());
                wait(&self.runtime, &self.signal, sent).map(|part| part.content_id)
            }
            (None, Some(own)) => {
                // The future takes its place in the object when it is made.
                let sent = own.put_part(bytes.into());
                wait(&self.runtime, &self.signal, sent).map(|()| String::new())
            }
            (None, None) => Err(lost(key)),
        }
    }

    fn complete(&mut self, key: &Key, upload: &str, parts: &[String]) -> Result<(), RemoteError> {
        match (&self.uploads, self.own.take()) {
            (Some(uploads), _) => {
                let upload = upload.to_owned();
                let parts = parts.iter().map(|part| PartId { content_id: part.clone() }).collect();
                wait(&self.runtime, &self.signal, uploads.complete_multipart(key, &upload, parts)).map(drop)
            }
            (None, Some(mut own)) => wait(&self.runtime, &self.signal, own.complete()).map(drop),
            (None, None) => Err(lost(key)),
        }
    }

    fn abort(&mut self, key: &Key, upload: &str) -> Result<(), RemoteError> {
        match (&self.uploads, self.own.take()) {
            (Some(uploads), _) => {
                let upload = upload.to_owned();
                wait(&self.runtime, &self.signal, uploads.abort_multipart(key, &upload))
            }
            // Also after a signal: nobody else could remove the parts.
            (None, Some(mut own)) => self.runtime.block_on(own.abort()).map_err(RemoteError::from),
            (None, None) => Ok(()),
        }
    }

    fn size(&mut self, key: &Key) -> Result<Option<u64>, RemoteError> {
        match wait(&self.runtime, &self.signal, self.store.head(key)) {
            Ok(found) => Ok(Some(found.size)),
            Err(RemoteError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&mut self, key: &Key, range: Range<u64>) -> Result<Vec<u8>, RemoteError> {
        wait(&self.runtime, &self.signal, self.store.get_range(key, range)).map(Vec::from)
    }

    fn checks_sums(&self) -> bool {
        self.checks_sums
    }
}

fn lost(key: &Key) -> RemoteError {
    let source = "the upload was not started here".into();
    RemoteError::NotFound(object_store::Error::NotFound { path: key.to_string(), source })
}
