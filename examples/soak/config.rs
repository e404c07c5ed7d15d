//! Configurations of the daemon: a valid one that changes from time to time, and invalid ones.

use fastrand::Rng;

use crate::{daemon::Paths, shared::Call};

/// Rotation and retention; changes with a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// By size, within a budget of bytes.
    BySize,
    /// By time, with a maximum number of files and some disk space kept free.
    ByTime,
    /// Compressed, by number of events, within a budget of bytes.
    Packed,
}

/// The budget of all files, in bytes.
pub const BUDGET: u64 = 96 << 20;
/// The size of a file, in bytes.
const SIZE: u64 = 8 << 20;
/// The size of a compressed file, in events.
const EVENTS: u64 = 400_000;

impl Files {
    /// Chooses one for the next start.
    pub fn any(rng: &mut Rng) -> Files {
        [Files::BySize, Files::BySize, Files::ByTime, Files::Packed][rng.usize(..4)]
    }

    /// Returns the bytes not to exceed for long: the budget plus the current and the next file.
    pub fn limit(self) -> Option<u64> {
        match self {
            Files::BySize => Some(BUDGET + 2 * SIZE),
            Files::Packed => Some(BUDGET + 64 * EVENTS),
            Files::ByTime => None,
        }
    }

    fn keys(self) -> String {
        match self {
            Files::BySize => format!("rotate-size = '{}M'\nkeep-bytes = '{}M'\n", SIZE >> 20, BUDGET >> 20),
            Files::ByTime => "rotate-time = '5s'\nkeep-files = 8\nkeep-free = '10%'\n".to_owned(),
            Files::Packed => {
                format!("gzip = true\nrotate-events = {EVENTS}\nkeep-bytes = '{}M'\n", BUDGET >> 20)
            }
        }
    }
}

/// The same for all: the daemon repairs and deletes only files with names of this form.
const NAME: &str = "soak-%H%M%S.scap";

/// Calls recorded besides the marked ones.
const OTHERS: &str = "execve,clone,clone3,vfork,read,write,connect,accept4";
const MORE: &str = "close,socket,bind,listen";

/// A valid configuration.
#[derive(Debug, Clone)]
pub struct Config {
    pub files: Files,
    pub snaplen: u32,
    /// Whether to record the calls in `MORE`.
    pub more: bool,
}

impl Config {
    pub fn text(&self, paths: &Paths, folder: &std::path::Path, root: u32) -> String {
        format!(
            "[record]\nsyscalls = '{}'\nonly = true\nevents = ['enter', 'exit']\nsnaplen = {}\npid = {root}\nbuffer-size = '1M'\n\
             [files]\nwrite = '{}'\n{}[control]\ncontrol = '{}'\n",
            self.syscalls(None),
            self.snaplen,
            folder.join(NAME).display(),
            self.files.keys(),
            paths.socket().display()
        )
    }

    /// Returns the list of calls, except one.
    pub fn syscalls(&self, but: Option<Call>) -> String {
        let marked = Call::ALL.iter().filter(|call| Some(**call) != but).map(|call| call.name());
        let more = if self.more { Some(MORE) } else { None };
        marked.chain([OTHERS]).chain(more).collect::<Vec<_>>().join(",")
    }

    /// Changes a setting that needs no restart.
    pub fn change(&mut self, rng: &mut Rng) {
        if rng.bool() {
            self.snaplen = rng.u32(0..200);
        } else {
            self.more = !self.more;
        }
    }
}

/// Makes an invalid configuration from a valid one.
pub fn spoil(good: &str, rng: &mut Rng) -> String {
    match rng.usize(..4) {
        0 => good.replace("snaplen = ", "snaplan = "),
        1 => good.replace("lseek,", "lsek,"),
        2 => format!("{good}[nonsense]\n"),
        _ => good[..good.len() / 2].to_owned() + "\n= '",
    }
}
