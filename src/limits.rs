//! The limit of open files: each program and each map that is loaded takes a descriptor, and the usual soft limit of 1,024
//! is not much more than that.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// With fewer open files than this nothing can be recorded, and what libbpf then says is not always that.
pub const FEWEST: u64 = 64;

/// The limit of open files as this process was started with it.
#[derive(Debug, Clone, Copy)]
pub struct OpenFiles(Rlimit);

impl OpenFiles {
    /// Raises the soft limit to the hard one, which any process may.
    pub fn raise() -> OpenFiles {
        let before = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: before.maximum, maximum: before.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!("the limit of open files stays at {:?}: {error}", before.current);
        }
        OpenFiles(before)
    }

    /// Sets it back, for a program that is executed: one that uses select(2) must not get descriptors beyond 1,023. Only
    /// makes a system call, so it may be called between fork and exec.
    ///
    /// # Errors
    /// Of the kernel.
    pub fn restore(&self) -> std::io::Result<()> {
        Ok(setrlimit(Resource::Nofile, self.0)?)
    }
}

/// How many files this process may have open now.
pub fn open_files() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
