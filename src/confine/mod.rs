//! Takes rights from a thread that no longer needs them, so that a bug in it does less harm: capabilities, system calls
//! (seccomp(2)), and writing files (landlock(7)).
//!
//! Each thread gives up its rights itself, and the threads and processes that it starts inherit the restrictions. So a
//! thread that starts processes keeps its system calls and files: the recorded command and the commands of `--on-close`
//! must not notice anything. A thread under Landlock cannot inspect processes outside, not even to read what they have
//! open, so the thread that takes the state of the machine is not under Landlock. The list of calls is a list of
//! refused ones, not of allowed ones: a new call of the C library must not end a recording that runs for weeks.

mod calls;
mod files;

use std::fmt;

use serde::Deserialize;

use crate::{
    choice::{Choice, choices},
    privileges::{self, Kept},
};

choices! {
    /// Which rights to give up.
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Confinement {
        Auto = "auto": "Everything that this kernel can take away",
        Capabilities = "capabilities": "Only capabilities",
        #[default]
        Off = "off": "Nothing",
    }
}

/// The task of a thread, which determines the rights that it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Takes events, takes the state of the machine and writes files, and starts threads that do.
    Recording,
    /// Closes, renames and deletes files.
    Files {
        /// Whether it also runs the user's commands for them.
        hooks: bool,
    },
    /// Talks to other processes and writes no files.
    Talking,
    /// The same, at sockets of any user.
    Asking,
}

/// The restrictions in force for a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The remaining capabilities; `None` if none were given up.
    capabilities: Option<Vec<String>>,
    /// The number of refused system calls, or why none are.
    calls: Measure<usize>,
    /// Whether writing files is forbidden, or why not.
    files: Measure<()>,
}

/// The outcome of a measure.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Measure<T> {
    /// In force.
    Taken(T),
    /// Not for this thread, or not wanted.
    None,
    /// Not available on this machine.
    Impossible(String),
}

impl<T> From<Result<T, String>> for Measure<T> {
    fn from(result: Result<T, String>) -> Measure<T> {
        result.map_or_else(Measure::Impossible, Measure::Taken)
    }
}

/// Takes from this thread the rights that its task does not need. A measure that this machine lacks is no error.
pub fn thread(how: Confinement, task: Task) -> InForce {
    let mut in_force = InForce { capabilities: None, calls: Measure::None, files: Measure::None };
    if how == Confinement::Off {
        return in_force;
    }
    privileges::keep(match task {
        Task::Recording => Kept::Foreground,
        Task::Files { .. } => Kept::Files,
        Task::Talking => Kept::Nothing,
        Task::Asking => Kept::Sockets,
    });
    in_force.capabilities = Some(capabilities_left());
    if how == Confinement::Auto {
        if matches!(task, Task::Talking | Task::Asking) {
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

/// Returns the measures that this machine has, found out by trying them on a thread.
pub fn possible() -> InForce {
    let tried = std::thread::spawn(|| thread(Confinement::Auto, Task::Talking)).join();
    tried.unwrap_or(InForce { capabilities: None, calls: Measure::None, files: Measure::None })
}

impl InForce {
    /// Returns the text for `scapd check`.
    pub fn of_this_machine(&self) -> String {
        let calls = match &self.calls {
            Measure::Taken(count) => format!("seccomp refuses {count} system calls"),
            Measure::Impossible(why) => format!("no seccomp ({why})"),
            Measure::None => "no seccomp".to_owned(),
        };
        match &self.files {
            Measure::Taken(()) => {
                format!("{calls}; Landlock forbids threads that talk to other processes to write files")
            }
            Measure::Impossible(why) => format!("{calls}; no Landlock ({why})"),
            Measure::None => calls,
        }
    }
}

impl fmt::Display for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.capabilities.as_deref() {
            None => f.write_str("no capabilities given up")?,
            Some([]) => f.write_str("no capabilities left")?,
            Some(left) => write!(f, "capabilities left: {}", left.join(" "))?,
        }
        match &self.calls {
            Measure::Taken(count) => write!(f, "; seccomp refuses {count} system calls")?,
            Measure::Impossible(why) => write!(f, "; no seccomp ({why})")?,
            Measure::None => {}
        }
        match &self.files {
            Measure::Taken(()) => f.write_str("; Landlock forbids it to write files"),
            Measure::Impossible(why) => write!(f, "; no Landlock ({why})"),
            Measure::None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;

    /// Runs `then` in a thread after it has given up its rights.
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
        // Without Landlock in the kernel, the thread can still write.
        assert_eq!(
            (wrote, removed),
            if in_force.files == Measure::Taken(()) { (false, false) } else { (true, true) }
        );
        assert!(removed || read == b"before");
        assert!(executes(), "other threads are not affected");
    }

    #[test]
    fn a_recording_writes_files_and_sees_processes_but_executes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        after(Confinement::Auto, Task::Recording, move |_| {
            fs::write(folder.path().join("x"), "").unwrap();
            fs::rename(folder.path().join("x"), folder.path().join("y")).unwrap();
            // Its parent is not confined. A recording reads such processes at each rotation.
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
        assert!(text.contains("no capabilities left; seccomp refuses "), "{text}");
        let off = thread(Confinement::Off, Task::Talking).to_string();
        assert_eq!(off, "no capabilities given up");
    }
}
