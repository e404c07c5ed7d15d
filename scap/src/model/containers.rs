//! What runtimes have told of containers.

use std::sync::Arc;

use super::memory::map_memory;
use crate::{
    container::{self, Description},
    hash::{HashMap, HashSet},
};

/// How many descriptions are kept in any case. Beyond, those go whose container no process is in.
const MANY: usize = 1024;

/// Descriptions of containers, by the ids that readers know them by.
#[derive(Debug, Clone, Default)]
pub(super) struct Containers {
    by_id: HashMap<Box<[u8]>, Arc<Description>>,
    /// The one that the last event told.
    last: Option<Arc<Description>>,
    /// The memory of all descriptions, in bytes.
    memory: u64,
    /// How many were left when those of ended containers went.
    left: usize,
}

impl Containers {
    /// Adds a description; it takes the place of one of the same container. `cgroups` has those of all processes.
    pub fn add<'a, G: Iterator<Item = &'a [u8]>>(
        &mut self,
        description: Description,
        cgroups: impl FnOnce() -> G,
    ) {
        if self.by_id.len() >= MANY.max(2 * self.left) {
            let used = used(cgroups());
            self.by_id.retain(|id, _| used.contains(&**id));
            self.memory = self.by_id.values().map(|known| known.memory()).sum();
            self.left = self.by_id.len();
        }
        let description = Arc::new(description);
        self.memory += description.memory();
        let old = self.by_id.insert(description.id.as_bytes().into(), description.clone());
        self.memory -= old.map_or(0, |old| old.memory());
        self.last = Some(description);
    }

    pub fn get(&self, id: &[u8]) -> Option<&Description> {
        self.by_id.get(id).map(|known| &**known)
    }

    pub fn last(&self) -> Option<&Description> {
        self.last.as_deref()
    }

    pub fn forget_last(&mut self) {
        self.last = None;
    }

    /// Returns all descriptions, in the order of their ids.
    pub fn all(&self) -> Vec<&Description> {
        let mut all: Vec<_> = self.by_id.values().map(|known| &**known).collect();
        all.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// The memory that this takes, in bytes.
    pub fn memory(&self) -> u64 {
        map_memory(&self.by_id) + self.memory
    }
}

/// Returns the ids of the containers that some control groups are of.
fn used<'a>(cgroups: impl Iterator<Item = &'a [u8]>) -> HashSet<&'a [u8]> {
    cgroups.filter_map(container::in_groups).map(|container| container.short_id()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(id: usize) -> Description {
        Description::parse(format!(r#"{{"id":"{id:012x}"}}"#).as_bytes()).unwrap()
    }

    #[test]
    fn ended_containers_go_when_there_are_many() {
        let groups: Vec<_> = [1, 5].map(|id| format!("cpu=/docker/{id:012x}{}\0", "0".repeat(52))).into();
        let cgroups = || groups.iter().map(|group| group.as_bytes());
        let mut containers = Containers::default();
        for id in 0..MANY + 1 {
            containers.add(description(id), cgroups);
        }
        let ids: Vec<_> = containers.all().iter().map(|known| known.id.to_string()).collect();
        // Those two, and the newest.
        assert_eq!(ids, ["000000000001", "000000000005", "000000000400"]);
        assert_eq!(containers.memory, 3 * description(1).memory());
        assert!(containers.get(b"000000000002").is_none());
    }

    #[test]
    fn a_newer_description_takes_the_place() {
        let mut containers = Containers::default();
        containers.add(description(1), std::iter::empty);
        let newer = Description::parse(br#"{"id":"000000000001","name":"web"}"#).unwrap();
        containers.add(newer.clone(), std::iter::empty);
        assert_eq!(containers.get(b"000000000001"), Some(&newer));
        assert_eq!((containers.last(), containers.memory), (Some(&newer), newer.memory()));
    }
}
