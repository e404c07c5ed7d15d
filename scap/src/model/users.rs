//! The users and groups of the machine.

use crate::hash::HashMap;

use super::memory::map_memory;
use crate::format::{
    heap,
    state::{Group, User},
};

/// Users and groups by their ids. An id may have several entries; the last one names it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Accounts {
    users: HashMap<u32, Vec<User>>,
    groups: HashMap<u32, Vec<Group>>,
}

impl Accounts {
    pub fn of_state(users: &[User], groups: &[Group]) -> Accounts {
        let mut accounts = Accounts::default();
        users.iter().for_each(|user| accounts.users.entry(user.uid).or_default().push(user.clone()));
        groups.iter().for_each(|group| accounts.groups.entry(group.gid).or_default().push(group.clone()));
        accounts
    }

    pub fn user(&self, uid: u32) -> Option<&User> {
        self.users.get(&uid)?.last()
    }

    pub fn group(&self, gid: u32) -> Option<&Group> {
        self.groups.get(&gid)?.last()
    }

    /// Adds a user; one of the same id and name is replaced.
    pub fn add_user(&mut self, user: User) {
        let known = self.users.entry(user.uid).or_default();
        known.retain(|other| other.name != user.name);
        known.push(user);
    }

    pub fn add_group(&mut self, group: Group) {
        let known = self.groups.entry(group.gid).or_default();
        known.retain(|other| other.name != group.name);
        known.push(group);
    }

    pub fn delete_user(&mut self, uid: u32) {
        self.users.remove(&uid);
    }

    pub fn delete_group(&mut self, gid: u32) {
        self.groups.remove(&gid);
    }

    /// Returns all users, ordered by their ids.
    pub fn users(&self) -> Vec<User> {
        let mut users: Vec<_> = self.users.values().flatten().cloned().collect();
        users.sort_by_key(|user| user.uid);
        users
    }

    /// Returns all groups, ordered by their ids.
    pub fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<_> = self.groups.values().flatten().cloned().collect();
        groups.sort_by_key(|group| group.gid);
        groups
    }

    /// The memory that this takes, in bytes.
    pub fn memory(&self) -> u64 {
        let texts = |texts: [&Vec<u8>; 3]| texts.iter().map(|text| heap(text.capacity())).sum::<u64>();
        let users = self.users.values().flatten().map(|u| texts([&u.name, &u.home, &u.shell]));
        let groups = self.groups.values().flatten().map(|g| heap(g.name.capacity()));
        let vecs = self.users.values().map(|v| heap(v.capacity() * size_of::<User>()));
        let more = self.groups.values().map(|v| heap(v.capacity() * size_of::<Group>()));
        map_memory(&self.users)
            + map_memory(&self.groups)
            + users.chain(groups).chain(vecs).chain(more).sum::<u64>()
    }
}
