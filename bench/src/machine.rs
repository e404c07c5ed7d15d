//! The machine of a run.

use std::path::Path;

use procfs::process::Process;
use serde::{Deserialize, Serialize};

use crate::cpu;

/// The machine's properties for the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// The number of cores available to this process.
    pub cores: usize,
    /// The size of the memory, in bytes.
    pub memory: u64,
    /// The kernel's release.
    pub kernel: String,
}

impl Machine {
    /// Returns the properties of this machine.
    pub fn this() -> Machine {
        let uname = rustix::system::uname();
        let info = rustix::system::sysinfo();
        Machine {
            cpu: cpu::model(),
            cores: cpu::allowed().map_or(0, |cpus| cpus.len()),
            memory: info.totalram * u64::from(info.mem_unit),
            kernel: uname.release().to_string_lossy().into_owned(),
        }
    }
}

/// Returns the type of the file system of a directory.
pub fn file_system(dir: &Path) -> String {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mounts = Process::myself().and_then(|process| process.mountinfo());
    let mounts = mounts.map(|mounts| mounts.0).unwrap_or_default();
    let mount = mounts.into_iter().filter(|mount| dir.starts_with(&mount.mount_point));
    // Of several mounts at one point, the last one is visible.
    let nearest = mount.max_by_key(|mount| mount.mount_point.as_os_str().len());
    nearest.map_or("unknown".to_owned(), |mount| mount.fs_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_something() {
        let machine = Machine::this();
        assert!(machine.cores > 0 && machine.memory > 0 && !machine.kernel.is_empty());
    }

    #[test]
    fn proc_is_a_file_system() {
        assert_eq!(file_system(Path::new("/proc/self")), "proc");
    }
}
