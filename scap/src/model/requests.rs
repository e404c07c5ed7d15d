//! Requests of io_uring that are not complete.

use std::collections::VecDeque;

use super::{
    fds::{FdClass, FdDetail},
    memory::map_memory,
};
use crate::{
    format::{EventView, Value},
    hash::HashMap,
};

/// How many requests are kept. A program can submit more than it ever completes; all are forgotten then.
const MOST: usize = 1 << 16;
/// The flag of a completion that others of the same request follow: IORING_CQE_F_MORE.
const MORE: u64 = 2;

/// What identifies a request while it is in progress, by its submission or completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestKey {
    ring: u64,
    user_data: u64,
    /// The kernel's address of the request; `None` if the event does not have it.
    req: Option<u64>,
    /// Whether other completions of the request follow.
    has_more: bool,
}

impl RequestKey {
    /// Returns the key in the event of a submission or completion; `None` for any other event.
    pub fn of(event: &EventView<'_>) -> Option<RequestKey> {
        let number = |name| match event.value(name)?.ok()?.value {
            Value::Uint(number) => Some(number),
            Value::Flags(flags) => Some(u64::from(flags)),
            _ => None,
        };
        Some(RequestKey {
            ring: number("ring")?,
            user_data: number("user_data")?,
            req: number("req"),
            has_more: number("cqe_flags").is_some_and(|flags| flags & MORE != 0),
        })
    }
}

/// What a submission says that its completion needs.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// When it was submitted, in ns since the epoch.
    pub submitted: u64,
    pub opcode: u32,
    /// The descriptor; `None` for a registered file.
    pub fd: Option<i64>,
    /// Whether the result goes to the ring's registered files, not to the process's descriptors.
    pub has_slot: bool,
    pub path: Vec<u8>,
    pub flags: u32,
    /// A new socket's class, and whether it is closed on exec.
    pub socket: Option<(FdClass, bool)>,
    /// The end that a bind gives to a socket.
    pub bound: Option<BoundEnd>,
}

impl Request {
    /// The memory that it refers to, in bytes.
    pub fn memory(&self) -> u64 {
        let bound = self.bound.as_ref().map_or(0, |end| end.name.capacity());
        (self.path.capacity() + bound) as u64
    }
}

/// The end that a bind gives to a socket.
#[derive(Debug, Clone)]
pub(crate) struct BoundEnd {
    pub class: FdClass,
    pub name: Vec<u8>,
    pub detail: FdDetail,
}

/// The requests in progress, each with what is known of it.
#[derive(Debug, Clone)]
pub struct Requests<T> {
    by_req: HashMap<u64, (RequestKey, T)>,
    /// The requests of a ring and user_data, the oldest first. They need not be different.
    by_data: HashMap<(u64, u64), VecDeque<u64>>,
}

impl<T> Default for Requests<T> {
    fn default() -> Requests<T> {
        Requests { by_req: HashMap::default(), by_data: HashMap::default() }
    }
}

impl<T> Requests<T> {
    /// Notes a submission. A request at the same address is over.
    pub fn submit(&mut self, key: RequestKey, what: T) {
        let Some(req) = key.req else { return };
        self.forget(req);
        if self.by_req.len() >= MOST {
            self.clear();
        }
        self.by_req.insert(req, (key, what));
        self.by_data.entry((key.ring, key.user_data)).or_default().push_back(req);
    }

    /// Returns the request of a completion.
    pub fn get(&self, key: RequestKey) -> Option<&T> {
        self.by_req.get(&self.find(key)?).map(|(_, what)| what)
    }

    /// Notes that a completion has been handled: it ends its request, unless others follow.
    pub fn complete(&mut self, key: RequestKey) {
        if let Some(req) = self.find(key).filter(|_| !key.has_more) {
            self.forget(req);
        }
    }

    /// Forgets all requests.
    pub fn clear(&mut self) {
        *self = Requests::default();
    }

    /// Iterates over what is known of each request.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.by_req.values().map(|(_, what)| what)
    }

    /// The memory that this takes, in bytes, without what the requests refer to.
    pub(crate) fn memory(&self) -> u64 {
        map_memory(&self.by_req) + map_memory(&self.by_data)
    }

    /// Finds the address of a completion's request.
    fn find(&self, key: RequestKey) -> Option<u64> {
        let is_of = |req: &u64| {
            let submitted = self.by_req.get(req).map(|(submitted, _)| (submitted.ring, submitted.user_data));
            submitted == Some((key.ring, key.user_data))
        };
        match key.req {
            Some(req) => Some(req).filter(is_of),
            None => self.by_data.get(&(key.ring, key.user_data))?.front().copied(),
        }
    }

    fn forget(&mut self, req: u64) {
        let Some((key, _)) = self.by_req.remove(&req) else { return };
        let place = (key.ring, key.user_data);
        if let Some(others) = self.by_data.get_mut(&place) {
            others.retain(|other| *other != req);
            if others.is_empty() {
                self.by_data.remove(&place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(user_data: u64, req: impl Into<Option<u64>>) -> RequestKey {
        RequestKey { ring: 1, user_data, req: req.into(), has_more: false }
    }

    #[test]
    fn a_completion_finds_its_submission() {
        let mut requests = Requests::default();
        requests.submit(key(5, 100), "a");
        requests.submit(key(5, 101), "b");
        assert_eq!(requests.get(key(5, 101)), Some(&"b"));
        // Without the request, the oldest of the same user_data.
        assert_eq!(requests.get(key(5, None)), Some(&"a"));
        assert_eq!(requests.get(RequestKey { ring: 2, ..key(5, 101) }), None);
        assert_eq!(requests.get(key(6, 101)), None);
        requests.complete(RequestKey { has_more: true, ..key(5, None) });
        requests.complete(key(5, None));
        assert_eq!(requests.get(key(5, None)), Some(&"b"));
        requests.complete(key(5, 101));
        assert_eq!(requests.get(key(5, None)), None);
        assert!(requests.by_req.is_empty() && requests.by_data.is_empty());
    }

    #[test]
    fn a_request_ends_the_one_before_it_at_its_address() {
        let mut requests = Requests::default();
        requests.submit(key(5, 100), "a");
        requests.submit(key(6, 100), "b");
        assert_eq!((requests.get(key(5, None)), requests.get(key(6, None))), (None, Some(&"b")));
        assert_eq!(requests.by_data.len(), 1);
    }

    #[test]
    fn requests_without_a_completion_do_not_pile_up() {
        let mut requests = Requests::default();
        for req in 0..2 * MOST as u64 + 10 {
            requests.submit(key(req % 7, req), ());
        }
        assert!(requests.by_req.len() <= MOST);
        assert_eq!(requests.by_data.values().map(VecDeque::len).sum::<usize>(), requests.by_req.len());
        requests.submit(key(1, None), ());
        assert_eq!(requests.get(key(1, 7)), None);
    }
}
