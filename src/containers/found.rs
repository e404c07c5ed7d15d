//! What a runtime has told, as the JSON of a container event.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::image;
use scap::container::Kind;

/// The longest JSON, in bytes: readers refuse larger blocks.
const MAX: usize = 48 << 10;
/// The longest value of a label, in bytes. A longer one is left out: it is not a name, but a configuration.
const MAX_LABEL: usize = 1024;
/// How many characters of an id readers know a container by.
const SHORT: usize = 12;

/// What a runtime has told of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub name: String,
    /// The image, as it was asked for.
    pub image: String,
    pub image_id: String,
    pub image_digest: String,
    pub is_privileged: bool,
    /// It only holds the namespaces of a pod.
    pub is_sandbox: bool,
    pub labels: BTreeMap<String, String>,
    pub mounts: Vec<Mount>,
    /// The command that looks whether it is well.
    pub healthcheck: Vec<String>,
    /// When it was made, in s since the epoch.
    pub created: i64,
}

/// A mount of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mount {
    pub source: String,
    pub destination: String,
    pub mode: String,
    pub is_writable: bool,
    pub propagation: String,
}

impl Found {
    /// Returns it as the JSON of a container event, in the form of sysdig. What makes it too long is left out.
    pub fn json(&self, id: &str, kind: Kind) -> Arc<str> {
        let full = self.to_json(id, kind, true, true);
        if full.len() <= MAX {
            return full.into();
        }
        let without_mounts = self.to_json(id, kind, true, false);
        if without_mounts.len() <= MAX {
            return without_mounts.into();
        }
        self.to_json(id, kind, false, false).into()
    }

    fn to_json(&self, id: &str, kind: Kind, has_labels: bool, has_mounts: bool) -> String {
        let image = image::parts(&self.image);
        let digest = if self.image_digest.is_empty() { image.digest } else { &self.image_digest };
        let short = |text: &str| cut(text).to_owned();
        let labels = self
            .labels
            .iter()
            .filter(|(name, value)| has_labels && name.len() <= MAX_LABEL && value.len() <= MAX_LABEL);
        let labels: BTreeMap<_, _> = labels.collect();
        let mounts: Vec<Value> = self.mounts.iter().filter(|_| has_mounts).map(Mount::json).collect();
        let mut container = json!({
            "id": id.get(..SHORT).unwrap_or(id),
            "full_id": id,
            "type": kind as u8,
            "name": short(&self.name),
            "image": short(&self.image),
            "imageid": short(self.image_id.trim_start_matches("sha256:")),
            "imagerepo": short(image.repository),
            "imagetag": short(image.tag),
            "imagedigest": short(digest),
            "privileged": self.is_privileged,
            "is_pod_sandbox": self.is_sandbox,
            // Successful, as sysdig counts.
            "lookup_state": 1,
            "created_time": self.created,
            "Mounts": mounts,
            "labels": labels,
        });
        if let (Some((exe, args)), true) = (self.healthcheck.split_first(), has_mounts) {
            container["Healthcheck"] = json!({ "exe": short(exe), "args": args });
        }
        json!({ "container": container }).to_string()
    }
}

/// Returns the beginning of a text that is too long.
fn cut(text: &str) -> &str {
    let end = (0..=text.len().min(MAX_LABEL)).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}

impl Mount {
    fn json(&self) -> Value {
        json!({
            "Source": self.source,
            "Destination": self.destination,
            "Mode": self.mode,
            "RW": self.is_writable,
            "Propagation": self.propagation,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scap::container::Description;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn read(found: &Found) -> Description {
        let json = found.json(ID, Kind::Podman);
        assert!(json.len() <= MAX, "{}", json.len());
        Description::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn readers_get_what_was_told() {
        let mount =
            Mount { source: "/s".into(), destination: "/d".into(), is_writable: true, ..Mount::default() };
        let found = Found {
            name: "web".into(),
            image: "quay.io/a/web:1".into(),
            image_id: "sha256:ee".into(),
            is_privileged: true,
            labels: [("a".into(), "b".into())].into(),
            mounts: vec![mount],
            healthcheck: vec!["curl".into(), "-f".into()],
            ..Found::default()
        };
        let told = read(&found);
        assert_eq!((&*told.id, &*told.full_id, told.kind), (&ID[..12], ID, Some(Kind::Podman)));
        assert_eq!((&*told.name, &*told.image, &*told.image_id), ("web", "quay.io/a/web:1", "ee"));
        assert_eq!((&*told.image_repository, &*told.image_tag), ("quay.io/a/web", "1"));
        assert_eq!((told.is_privileged, told.label("a"), &*told.probes[0]), (true, Some("b"), "curl -f"));
        assert_eq!((told.mounts.len(), told.mounts[0].is_writable), (1, true));
    }

    #[test]
    fn what_is_too_long_is_left_out() {
        let long = |n: usize| "é".repeat(n);
        let mount = Mount { source: long(2048), ..Mount::default() };
        let with = Found { name: long(9999), mounts: vec![mount; 20], ..Found::default() };
        assert_eq!((read(&with).mounts.len(), read(&with).name.len()), (0, MAX_LABEL));
        let mut labels: BTreeMap<_, _> =
            [("a".to_owned(), long(2048)), ("b".to_owned(), "1".to_owned())].into();
        let told = read(&Found { labels: labels.clone(), ..Found::default() });
        assert_eq!((told.label("a"), told.label("b")), (None, Some("1")));
        labels.extend((0..100).map(|n| (n.to_string(), long(500))));
        assert_eq!(read(&Found { labels, ..Found::default() }).labels.len(), 0);
    }
}
