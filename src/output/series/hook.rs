//! The command to run for each closed file.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    str::FromStr,
    time::{Duration, Instant},
};

use serde::Deserialize;

use super::store::SharedStore;
use crate::{escape::shown, folder::is_there};

/// How many hooks run at once; the others wait.
const AT_ONCE: usize = 4;
/// How many hooks may wait.
const WAITING: usize = 1000;
/// How long the end of a recording waits for hooks.
const PATIENCE: Duration = Duration::from_secs(30);
/// A hook that runs longer is logged: it may hang.
const LONG: Duration = Duration::from_secs(600);

/// A command with its arguments, split as a shell would, and run without a shell. It gets the path of the file as its
/// last argument and in `SCAPD_FILE`, and the path of the manifest, if there is one, in `SCAPD_MANIFEST`.
///
/// ```
/// let hook: scapd::output::Hook = "sh -c 'xz \"$SCAPD_FILE\"'".parse()?;
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Hook {
    program: String,
    arguments: Vec<String>,
}

impl FromStr for Hook {
    type Err = String;

    fn from_str(text: &str) -> Result<Hook, String> {
        let words = shlex::split(text).ok_or("a quotation mark is not closed")?;
        let mut words = words.into_iter();
        let program = words.next().filter(|program| !program.is_empty()).ok_or("no command")?;
        Ok(Hook { program, arguments: words.collect() })
    }
}

impl TryFrom<String> for Hook {
    type Error = String;

    fn try_from(text: String) -> Result<Hook, String> {
        text.parse()
    }
}

impl Hook {
    fn spawn(&self, job: &Job) -> std::io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(&job.file).env("SCAPD_FILE", &job.file).stdin(Stdio::null());
        if let Some(manifest) = &job.manifest {
            command.env("SCAPD_MANIFEST", manifest);
        }
        command.spawn()
    }
}

/// A file that a hook is run for.
#[derive(Debug)]
struct Job {
    file: PathBuf,
    manifest: Option<PathBuf>,
}

/// The hooks of a series, running and waiting.
#[derive(Debug)]
pub struct Hooks {
    hook: Option<Hook>,
    waiting: VecDeque<Job>,
    running: Vec<Running>,
    /// How long a hook may run before it is logged.
    long: Duration,
}

#[derive(Debug)]
struct Running {
    job: Job,
    child: Child,
    started: Instant,
    /// Whether its long run was logged.
    is_told: bool,
}

impl Running {
    /// Returns whether it has ended. Logs a failure, and a run longer than `long`.
    fn has_ended(&mut self, long: Duration) -> bool {
        let file = shown(&self.job.file);
        match self.child.try_wait() {
            Ok(None) => {
                if !self.is_told && self.started.elapsed() >= long {
                    self.is_told = true;
                    tracing::warn!(
                        "the hook for {file} (process {}) has run for {} minutes; the file is kept until it ends",
                        self.child.id(),
                        long.as_secs() / 60
                    );
                }
                return false;
            }
            Ok(Some(status)) if status.success() => {}
            Ok(Some(status)) => tracing::warn!("the hook for {file} failed: {status}"),
            Err(e) => tracing::warn!("the hook for {file} failed: {e}"),
        }
        true
    }
}

impl Hooks {
    /// Creates an empty queue.
    pub fn new(hook: Option<Hook>) -> Hooks {
        Hooks { hook, waiting: VecDeque::new(), running: Vec::new(), long: LONG }
    }

    /// Returns whether there is a command to run.
    pub fn is_wanted(&self) -> bool {
        self.hook.is_some()
    }

    /// Queues the hook for a file.
    pub fn add(&mut self, file: &Path, manifest: Option<PathBuf>) {
        if self.hook.is_none() {
            return;
        }
        if self.waiting.len() >= WAITING {
            tracing::warn!("no hook for {}: {WAITING} files are waiting for theirs", shown(file));
            return;
        }
        self.waiting.push_back(Job { file: file.to_owned(), manifest });
    }

    /// Reaps hooks that have ended, and starts the next ones. The store keeps a file while its hook runs.
    pub fn look(&mut self, store: &SharedStore) {
        let long = self.long;
        self.running.retain_mut(|running| {
            let ended = running.has_ended(long);
            if ended {
                store.lock().set_in_use(&running.job.file, false);
            }
            !ended
        });
        while let Some(hook) = self.hook.as_ref().filter(|_| self.running.len() < AT_ONCE) {
            let Some(job) = self.waiting.pop_front() else { return };
            store.lock().set_in_use(&job.file, true);
            let started = if is_there(&job.file) {
                hook.spawn(&job).map_err(|e| format!("cannot run {}: {e}", hook.program))
            } else {
                Err("the file was deleted before its turn".to_owned())
            };
            match started {
                Ok(child) => {
                    self.running.push(Running { job, child, started: Instant::now(), is_told: false })
                }
                Err(why) => {
                    tracing::warn!("no hook for {}: {why}", shown(&job.file));
                    store.lock().set_in_use(&job.file, false);
                }
            }
        }
    }

    /// Returns whether any hook runs or waits.
    pub fn is_busy(&self) -> bool {
        !self.running.is_empty() || !self.waiting.is_empty()
    }

    /// Waits for the remaining hooks, for a while.
    pub fn finish(&mut self, store: &SharedStore) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.look(store);
            if !self.is_busy() {
                return;
            }
            if Instant::now() >= deadline {
                let (running, waiting) = (self.running.len(), self.waiting.len());
                tracing::warn!("{running} hooks are still running and go on; {waiting} were not run");
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::series::{Pattern, Retention, store::Store};

    #[test]
    fn a_command_is_taken_apart_without_a_shell() {
        let hook: Hook = "send --to 'a b' $HOME".parse().unwrap();
        assert_eq!((hook.program.as_str(), hook.arguments.len()), ("send", 3));
        assert_eq!(hook.arguments[1..], ["a b", "$HOME"]);
        assert!("".parse::<Hook>().is_err() && "a 'b".parse::<Hook>().is_err());
    }

    #[test]
    fn one_that_takes_long_is_told_once_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a-000001.scap");
        std::fs::write(&file, [0x1F, 0x8B]).unwrap();
        let pattern = Pattern::parse(&folder.path().join("a.scap")).unwrap();
        let store =
            SharedStore::new(Store::open(pattern, Retention { files: Some(9), ..Retention::default() }));
        // It runs until a line is written to the pipe.
        let fifo = folder.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let hook = format!("timeout 60 sh -c 'read line <{}'", fifo.display()).parse().unwrap();
        let mut hooks = Hooks::new(Some(hook));
        hooks.add(&file, None);
        hooks.look(&store);
        assert!(!hooks.running[0].is_told);
        hooks.long = Duration::ZERO;
        hooks.look(&store);
        assert!(hooks.running[0].is_told && hooks.is_busy());
        assert!(!store.lock().make_room(), "the hook works on it");
        std::fs::write(&fifo, "end\n").unwrap();
        hooks.finish(&store);
        assert!(!hooks.is_busy() && store.lock().make_room());
    }
}
