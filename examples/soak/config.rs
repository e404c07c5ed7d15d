//! Configurations of the daemon: one that is good, changed from time to time, and some that are bad.

use fastrand::Rng;

use crate::{daemon::Paths, shared::Call};

/// How files are divided and kept; changes with a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// By size, within a budget of bytes.
    BySize,
    /// By time, some files, and some of the disk kept free.
    ByTime,
    /// Compressed, by events, within a budget of bytes.
    Packed,
}

/// What files may take together, where they have a budget.
pub const BUDGET: u64 = 96 << 20;
/// The size at which a new one begins.
const SIZE: u64 = 8 << 20;
/// Of compressed ones: in events.
const EVENTS: u64 = 400_000;

impl Files {
    /// As it may be at the next start.
    pub fn any(rng: &mut Rng) -> Files {
        [Files::BySize, Files::BySize, Files::ByTime, Files::Packed][rng.usize(..4)]
    }

    /// Bytes that must not be exceeded for long: the file that is written and the next may come on top.
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

/// The same for all: what a daemon takes care of, kept or left behind, is what has such a name.
const NAME: &str = "soak-%H%M%S.scap";

/// What is recorded besides the marked calls.
const OTHERS: &str = "execve,clone,clone3,vfork,read,write,connect,accept4";
const MORE: &str = "close,socket,bind,listen";

/// A good configuration.
#[derive(Debug, Clone)]
pub struct Config {
    pub files: Files,
    pub snaplen: u32,
    /// Some more calls.
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

    /// The calls, but for one.
    pub fn syscalls(&self, but: Option<Call>) -> String {
        let marked = Call::ALL.iter().filter(|call| Some(**call) != but).map(|call| call.name());
        let more = if self.more { Some(MORE) } else { None };
        marked.chain([OTHERS]).chain(more).collect::<Vec<_>>().join(",")
    }

    /// Changes something that takes no restart.
    pub fn change(&mut self, rng: &mut Rng) {
        if rng.bool() {
            self.snaplen = rng.u32(0..200);
        } else {
            self.more = !self.more;
        }
    }
}

/// A bad one, made of a good one.
pub fn spoil(good: &str, rng: &mut Rng) -> String {
    match rng.usize(..4) {
        0 => good.replace("snaplen = ", "snaplan = "),
        1 => good.replace("lseek,", "lsek,"),
        2 => format!("{good}[nonsense]\n"),
        _ => good[..good.len() / 2].to_owned() + "\n= '",
    }
}
