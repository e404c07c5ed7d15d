//! What a thread gives up once it has what it needs, so that a mistake in it does less harm: capabilities, system calls
//! (seccomp(2)), and writing files (landlock(7)).
//!
//! All three are of a thread, and pass to the threads and processes that it starts. So they are not for a thread that
//! starts processes: neither the recorded command nor a command of `--on-close` is to notice anything. And a thread under
//! Landlock sees nothing of processes outside, not even to read what they have open: a thread that takes the state of the
//! machine cannot be one. What is refused is a list, and not all but a list: a call that the C library makes tomorrow must
//! not end a recording that runs for weeks.

mod calls;
mod files;

use std::fmt;

use clap::ValueEnum;
use serde::Deserialize;

use crate::privileges::{self, Keep};

/// How much is given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confinement {
    /// All that this kernel can take away
    Auto,
    /// Capabilities alone
    Capabilities,
    /// Nothing
    #[default]
    Off,
}

/// What a thread still has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Take events, take the state of the machine, write files; and so for the threads that it starts.
    Recording,
    /// Close, rename and delete files; with `hooks`, also run commands of the user's for them.
    Files {
        /// Whether it does.
        hooks: bool,
    },
    /// Talk to others, and write no file.
    Talking,
}

/// What is in force for a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The capabilities that are left, if any others were given up.
    capabilities: Option<Vec<String>>,
    /// How many system calls are refused, or why none.
    calls: Measure<usize>,
    /// Whether files cannot be written, or why they can.
    files: Measure<()>,
}

/// What came of a measure.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Measure<T> {
    Taken(T),
    /// It is not for this thread, or not wanted.
    None,
    /// This machine does not have it.
    Impossible(String),
}

impl<T> From<Result<T, String>> for Measure<T> {
    fn from(result: Result<T, String>) -> Measure<T> {
        result.map_or_else(Measure::Impossible, Measure::Taken)
    }
}

/// Has this thread give up what its task does not take. What cannot be given up on this machine is kept: that is no error.
pub fn thread(how: Confinement, task: Task) -> InForce {
    let mut in_force = InForce { capabilities: None, calls: Measure::None, files: Measure::None };
    if how == Confinement::Off {
        return in_force;
    }
    privileges::keep(match task {
        Task::Recording => Keep::Foreground,
        Task::Files { .. } => Keep::Files,
        Task::Talking => Keep::Nothing,
    });
    in_force.capabilities = Some(capabilities_left());
    if how == Confinement::Auto {
        if task == Task::Talking {
            in_force.files = files::write_none().into();
        }
        if task != (Task::Files { hooks: true }) {
            in_force.calls = calls::refuse().into();
        }
    }
    in_force
}

fn capabilities_left() -> Vec<String> {
    let left = rustix::thread::capabilities(None).map(|sets| sets.permitted);
    left.into_iter()
        .flat_map(|left| left.iter_names().map(|(name, _)| format!("CAP_{name}")).collect::<Vec<_>>())
        .collect()
}

/// What this machine can take from a thread of each kind, found out by trying.
pub fn possible() -> InForce {
    let tried = std::thread::spawn(|| thread(Confinement::Auto, Task::Talking)).join();
    tried.unwrap_or(InForce { capabilities: None, calls: Measure::None, files: Measure::None })
}

impl InForce {
    /// The line of `scapd check`.
    pub fn of_this_machine(&self) -> String {
        let calls = match &self.calls {
            Measure::Taken(count) => format!("seccomp refuses {count} system calls"),
            Measure::Impossible(why) => format!("no seccomp ({why})"),
            Measure::None => "no seccomp".to_owned(),
        };
        match &self.files {
            Measure::Taken(()) => {
                format!("{calls}; Landlock keeps threads that talk to others from writing files")
            }
            Measure::Impossible(why) => format!("{calls}; no Landlock ({why})"),
            Measure::None => calls,
        }
    }
}

impl fmt::Display for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.capabilities.as_deref() {
            None => f.write_str("no capability is given up")?,
            Some([]) => f.write_str("no capability is left")?,
            Some(left) => write!(f, "capabilities left: {}", left.join(" "))?,
        }
        match &self.calls {
            Measure::Taken(count) => write!(f, "; seccomp refuses {count} system calls")?,
            Measure::Impossible(why) => write!(f, "; no seccomp ({why})")?,
            Measure::None => {}
        }
        match &self.files {
            Measure::Taken(()) => f.write_str("; Landlock lets it write no file"),
            Measure::Impossible(why) => write!(f, "; no Landlock ({why})"),
            Measure::None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;

    /// What a thread can do after it gave up something.
    fn after<T: Send + 'static>(
        how: Confinement,
        task: Task,
        then: impl FnOnce(InForce) -> T + Send + 'static,
    ) -> T {
        std::thread::spawn(move || then(thread(how, task))).join().unwrap()
    }

    fn executes() -> bool {
        Command::new("/bin/true").status().is_ok_and(|status| status.success())
    }

    #[test]
    fn a_thread_that_talks_executes_nothing_and_writes_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x");
        fs::write(&file, "before").unwrap();
        let path = file.clone();
        let (in_force, wrote, removed, read) = after(Confinement::Auto, Task::Talking, move |in_force| {
            let (wrote, removed) = (fs::write(&path, "after"), fs::remove_file(&path));
            assert!(!executes());
            (in_force, wrote.is_ok(), removed.is_ok(), fs::read(&path).unwrap())
        });
        assert!(matches!(in_force.calls, Measure::Taken(count) if count > 40), "{in_force}");
        // Where the kernel has no Landlock, it says so.
        assert_eq!(
            (wrote, removed),
            if in_force.files == Measure::Taken(()) { (false, false) } else { (true, true) }
        );
        assert!(removed || read == b"before");
        assert!(executes(), "other threads do what they did");
    }

    #[test]
    fn a_recording_writes_files_and_sees_processes_but_executes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        after(Confinement::Auto, Task::Recording, move |_| {
            fs::write(folder.path().join("x"), "").unwrap();
            fs::rename(folder.path().join("x"), folder.path().join("y")).unwrap();
            // Of its parent, which is not confined: as at each rotation.
            let parent = rustix::process::getppid().unwrap().as_raw_nonzero();
            assert!(fs::read_dir(format!("/proc/{parent}/fd")).unwrap().count() > 0);
            fs::read_link(format!("/proc/{parent}/exe")).unwrap();
            assert!(std::thread::spawn(|| !executes()).join().unwrap(), "nor do threads that it starts");
        });
    }

    #[test]
    fn a_thread_that_runs_commands_is_as_the_commands_expect() {
        let told = "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status";
        for (how, task) in [
            (Confinement::Auto, Task::Files { hooks: true }),
            (Confinement::Capabilities, Task::Recording),
            (Confinement::Off, Task::Talking),
        ] {
            let output = after(how, task, move |_| Command::new("sh").args(["-c", told]).output().unwrap());
            let said = String::from_utf8(output.stdout).unwrap();
            let values: Vec<_> = said.split_whitespace().filter(|word| !word.ends_with(':')).collect();
            assert_eq!(values, ["0", "0"], "{how:?} {task:?}");
        }
    }

    #[test]
    fn it_says_what_is_in_force() {
        let text = possible().to_string();
        assert!(text.contains("no capability is left; seccomp refuses "), "{text}");
        let off = thread(Confinement::Off, Task::Talking).to_string();
        assert_eq!(off, "no capability is given up");
    }
}
