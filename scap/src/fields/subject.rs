//! The descriptor that an event refers to.

use std::{borrow::Cow, sync::LazyLock};

use crate::{
    events::{Effect, Event, EventFlags, ParamType, rows},
    format::{EventView, Value, decode},
    model::{OpenFd, bpf_creates, fcntl_duplicates, socktuple},
    replay::Moment,
};

/// The number of a descriptor that a call was to make and did not.
const NONE: i64 = -1;

/// Whether a call with this command returns a descriptor.
type Makes = fn(u32) -> bool;

/// What the events of a row say of a descriptor: the indexes of parameters.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// The descriptor that the call is made with.
    used: Option<usize>,
    /// Of two, the one that it moves data from.
    source: Option<usize>,
    /// The descriptor that it returns.
    created: Option<usize>,
    /// The command on which it depends whether it returns one.
    command: Option<(usize, Makes)>,
    /// The path that it opens, and the directory that the path is relative to.
    path: Option<(usize, Option<usize>)>,
    /// The ends of the socket that it connects or accepts.
    tuple: Option<usize>,
    /// Its letter where the call has made none, as sysdig has it.
    letter: char,
    is_exit: bool,
}

/// The places of all rows, by type; `None` for rows of events that refer to no descriptor.
static PLACES: LazyLock<Vec<Option<Place>>> = LazyLock::new(|| rows().map(Place::new).collect());

impl Place {
    fn new(row: &Event) -> Option<Place> {
        let has = |flag| row.flags.contains(flag);
        let creates = has(EventFlags::CREATES_FD);
        if !creates && !has(EventFlags::USES_FD) && !has(EventFlags::DESTROYS_FD) {
            return None;
        }
        let effect = row.effect();
        let is_exit = !row.ty.is_enter();
        let is_fd = |ty| matches!(ty, ParamType::FD | ParamType::FD32);
        let command = match effect {
            Some(Effect::Fcntl) => row.param("cmd").map(|cmd| (cmd, fcntl_duplicates as Makes)),
            Some(Effect::Bpf) => row.param("cmd").map(|cmd| (cmd, bpf_creates as Makes)),
            _ => None,
        };
        let takes = has(EventFlags::USES_FD) || has(EventFlags::DESTROYS_FD);
        // Of two descriptors that a call uses, the one that it writes to.
        let first = || row.params.iter().position(|param| is_fd(param.ty) && param.name != "res");
        let path = row.param("name").or(row.param("path")).map(|path| (path, row.param("dirfd")));
        let source = ["fd_in", "in_fd", "fdin"].iter().find_map(|name| row.param(name));
        Some(Place {
            source,
            used: takes.then(|| row.param("fd_out").or_else(first)).flatten(),
            // Of two that it returns, the second.
            created: (is_exit && (creates || command.is_some()))
                .then(|| row.param("fd2").or(row.param("res")).or(row.param("fd")))
                .flatten(),
            command,
            path: path.filter(|_| is_exit && effect == Some(Effect::Open)),
            tuple: row
                .param("tuple")
                .filter(|_| is_exit && matches!(effect, Some(Effect::Connect | Effect::Accept))),
            letter: letter(effect),
            is_exit,
        })
    }

    fn number(&self, event: &EventView<'_>, of_source: bool) -> i64 {
        if of_source {
            return self.source.and_then(|index| event.integer(index)).unwrap_or(NONE);
        }
        let makes = self
            .command
            .is_none_or(|(index, makes)| event.integer(index).is_some_and(|command| makes(command as u32)));
        let created = self.created.filter(|_| makes).and_then(|index| event.integer(index));
        match (created, self.used) {
            (Some(fd), _) if fd >= 0 => fd,
            (_, Some(used)) => event.integer(used).unwrap_or(NONE),
            _ => NONE,
        }
    }
}

/// Returns the letter of what a call is to make.
fn letter(effect: Option<Effect>) -> char {
    match effect {
        Some(Effect::Open) => 'f',
        Some(Effect::Socket | Effect::Accept) => '4',
        Some(Effect::Pipe) => 'p',
        Some(Effect::Eventfd) => 'e',
        Some(Effect::Signalfd) => 's',
        Some(Effect::Timerfd) => 't',
        Some(Effect::Inotify) => 'i',
        _ => 'o',
    }
}

/// The descriptor that an event refers to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    moment: &'a Moment<'a>,
    place: &'static Place,
    /// Its number; -1 if the call was to make one and did not.
    pub fd: i64,
    /// What it refers to, if known.
    pub open: Option<&'a OpenFd>,
}

/// Returns the descriptor that an event refers to: of an exit event that made one, the new one, otherwise that of the
/// call's arguments. `None` if the event is of a kind that has none.
pub(crate) fn subject<'a>(m: &'a Moment<'a>) -> Option<Subject<'a>> {
    let event = m.event();
    let place = PLACES.get(event.row()?)?.as_ref()?;
    // The completion of a request of io_uring is about the descriptor that it makes or closes, otherwise about the request's.
    let fd = match (place.number(event, m.of_source), m.machine.request_fd()) {
        (NONE, Some(fd)) => fd,
        (fd, _) => fd,
    };
    Some(Subject { moment: m, place, fd, open: m.machine.fd(event.tid(), fd) })
}

/// Returns what the event's descriptor refers to, if known.
pub(crate) fn open<'a>(m: &'a Moment<'a>) -> Option<&'a OpenFd> {
    subject(m)?.open
}

impl<'a> Subject<'a> {
    /// Returns the name; of an unknown descriptor, what the exit event itself says of it.
    pub fn name(&self) -> Option<Cow<'a, [u8]>> {
        match self.open {
            Some(open) => Some(Cow::Borrowed(&open.name)),
            None => self.told(|path, dirfd| {
                let absolute = self.moment.machine.absolute(self.moment.event(), dirfd, path);
                absolute.map_or(Cow::Borrowed(path), Cow::Owned)
            }),
        }
    }

    /// Returns the path as the call was given it.
    pub fn given(&self) -> Option<Cow<'a, [u8]>> {
        match self.open {
            Some(open) => Some(Cow::Borrowed(open.given.as_deref().unwrap_or_default())),
            None => self.told(|path, _| Cow::Borrowed(path)),
        }
    }

    /// Returns whether the name is the path of a file that the call did not open.
    pub fn is_missing_file(&self) -> bool {
        self.open.is_none() && self.place.path.is_some()
    }

    /// Returns the letter of its kind.
    pub fn letter(&self) -> char {
        self.open.map_or(self.place.letter, |open| open.class.letter())
    }

    fn told(&self, path: impl Fn(&'a [u8], Option<i64>) -> Cow<'a, [u8]>) -> Option<Cow<'a, [u8]>> {
        if !self.place.is_exit {
            return None;
        }
        let (event, row) = (self.moment.event(), self.moment.event().info()?);
        let value = |index: usize| Some(decode(row.params.get(index)?, event.param(index)?).ok()?.value);
        if let Some((index, dirfd)) = self.place.path {
            let Value::Text(given) = value(index)? else { return None };
            return Some(path(given, dirfd.and_then(|dirfd| event.integer(dirfd))));
        }
        match self.place.tuple.and_then(value) {
            Some(Value::SockTuple(tuple)) => Some(Cow::Owned(socktuple(&tuple))),
            _ => Some(Cow::Borrowed(b"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Source;

    #[test]
    fn every_row_of_today_says_where_its_descriptor_is() {
        let exits = rows().filter(|row| row.source != Source::Extension && !row.ty.is_enter());
        for row in exits.filter(|row| !row.flags.contains(EventFlags::OLD_VERSION)) {
            let place = Place::new(row);
            let has = |part: fn(&Place) -> bool| place.as_ref().is_some_and(part);
            let flags = row.flags;
            assert!(!flags.contains(EventFlags::USES_FD) || has(|p| p.used.is_some()), "{}", row.code);
            assert!(!flags.contains(EventFlags::CREATES_FD) || has(|p| p.created.is_some()), "{}", row.code);
        }
    }
}
