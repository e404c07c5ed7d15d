//! What a runtime tells of a container.

use serde_json::{Map, Value, json};

use super::{Kind, group::short};
use crate::format::heap;

/// The longest JSON that is looked at, in bytes: there is one for each container, and a capture may be hostile.
pub const MAX_JSON: usize = 1 << 20;

/// What a runtime tells of a container. What it does not tell is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The first 12 characters of its id; of LXC, its name.
    pub id: Box<str>,
    /// Its whole id.
    pub full_id: Box<str>,
    /// What made it.
    pub kind: Option<Kind>,
    /// Its name.
    pub name: Box<str>,
    /// Its image, as it was asked for.
    pub image: Box<str>,
    /// The id of the image.
    pub image_id: Box<str>,
    /// The name of the image without tag and digest.
    pub image_repository: Box<str>,
    /// The tag of the image.
    pub image_tag: Box<str>,
    /// The digest of the image in its registry.
    pub image_digest: Box<str>,
    /// Whether it has all rights of the machine.
    pub is_privileged: bool,
    /// Labels and their values, by name.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// What is mounted in it.
    pub mounts: Vec<Mount>,
    /// The commands that look whether it is well: of the image, of Kubernetes for its life and for its readiness.
    pub probes: [Box<str>; 3],
    /// All of this, and what else is told, as the event has it.
    pub json: Box<str>,
}

/// A mount of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it comes from.
    pub source: Box<str>,
    /// Where it is in the container.
    pub destination: Box<str>,
    /// Its options.
    pub mode: Box<str>,
    /// Whether it can be written.
    pub is_writable: bool,
    /// How further mounts propagate.
    pub propagation: Box<str>,
}

/// The keys of [`Description::probes`].
const PROBES: [&str; 3] = ["Healthcheck", "LivenessProbe", "ReadinessProbe"];

impl Description {
    /// Reads the JSON of a container event; `None` if it is none, is longer than [`MAX_JSON`] or has no id. A member of the
    /// wrong type counts as missing.
    pub fn parse(json: &[u8]) -> Option<Description> {
        let json = std::str::from_utf8(json).ok().filter(|json| json.len() <= MAX_JSON)?.trim_end();
        let root: Value = serde_json::from_str(json).ok()?;
        // The events of Falco's plugin have no object around it.
        let told = root.get("container").unwrap_or(&root).as_object()?;
        let id = text(told, "id");
        // A cut id has digits alone.
        let id: Box<str> = id.get(..short(id.as_bytes()).len()).filter(|id| !id.is_empty())?.into();
        Some(Description {
            full_id: text(told, "full_id").into(),
            kind: told.get("type").and_then(Value::as_u64).and_then(Kind::from_number),
            name: text(told, "name").into(),
            image: text(told, "image").into(),
            image_id: text(told, "imageid").into(),
            image_repository: text(told, "imagerepo").into(),
            image_tag: text(told, "imagetag").into(),
            image_digest: text(told, "imagedigest").into(),
            is_privileged: told.get("privileged").and_then(Value::as_bool) == Some(true),
            labels: labels(told),
            mounts: mounts(told),
            probes: PROBES.map(|key| probe(told.get(key)).into()),
            json: json.into(),
            id,
        })
    }

    /// Makes one of what the oldest container events tell.
    pub(super) fn of_parts(id: &str, kind: u64, name: &str, image: &str) -> Option<Description> {
        let json = json!({ "container": { "id": id, "type": kind, "name": name, "image": image } });
        Description::parse(json.to_string().as_bytes())
    }

    /// Returns the value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        let at = self.labels.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        Some(&self.labels[at].1)
    }

    /// The memory that it takes, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let text = |text: &str| heap(text.len());
        let labels = self.labels.iter().map(|(name, value)| text(name) + text(value));
        let mounts = self
            .mounts
            .iter()
            .map(|m| text(&m.source) + text(&m.destination) + text(&m.mode) + text(&m.propagation));
        let tables = heap(self.labels.len() * size_of::<(Box<str>, Box<str>)>())
            + heap(self.mounts.len() * size_of::<Mount>());
        // The other texts are parts of the JSON.
        heap(size_of::<Description>()) + 2 * text(&self.json) + tables + labels.chain(mounts).sum::<u64>()
    }
}

fn text<'a>(of: &'a Map<String, Value>, key: &str) -> &'a str {
    of.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn labels(told: &Map<String, Value>) -> Vec<(Box<str>, Box<str>)> {
    let all = told.get("labels").and_then(Value::as_object).into_iter().flatten();
    let mut labels: Vec<_> =
        all.filter_map(|(name, value)| Some((name.as_str().into(), value.as_str()?.into()))).collect();
    labels.sort_unstable();
    labels
}

fn mounts(told: &Map<String, Value>) -> Vec<Mount> {
    let all = told.get("Mounts").and_then(Value::as_array).into_iter().flatten();
    let mounts = all.filter_map(Value::as_object).map(|mount| Mount {
        source: text(mount, "Source").into(),
        destination: text(mount, "Destination").into(),
        mode: text(mount, "Mode").into(),
        is_writable: mount.get("RW").and_then(Value::as_bool) == Some(true),
        propagation: text(mount, "Propagation").into(),
    });
    mounts.collect()
}

/// Returns the command line of a probe.
fn probe(probe: Option<&Value>) -> String {
    let Some(probe) = probe.and_then(Value::as_object) else { return String::new() };
    let args = probe.get("args").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    std::iter::once(text(probe, "exe")).chain(args).collect::<Vec<_>>().join(" ")
}
