//! The limit of open files. Each loaded program and map takes a descriptor, and the usual soft limit of 1,024 is not
//! much more than that.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Below this limit nothing can be recorded, and libbpf's errors do not always name the cause.
pub const FEWEST: u64 = 64;

/// The limit of open files that this process was started with.
#[derive(Debug, Clone, Copy)]
pub struct OpenFiles(Rlimit);

impl OpenFiles {
    /// Raises the soft limit to the hard one, which any process may do.
    pub fn raise() -> OpenFiles {
        let before = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: before.maximum, maximum: before.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!("the limit of open files stays at {:?}: {error}", before.current);
        }
        OpenFiles(before)
    }

    /// Restores the limit for a program that is executed: one that uses select(2) must not get descriptors above 1,023.
    /// Only makes a system call, so it may be called between fork and exec.
    ///
    /// # Errors
    /// Errors of setrlimit(2).
    pub fn restore(&self) -> std::io::Result<()> {
        Ok(setrlimit(Resource::Nofile, self.0)?)
    }
}

/// Returns the number of files that this process may have open now.
pub fn open_files() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
