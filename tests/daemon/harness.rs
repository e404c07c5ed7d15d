//! A daemon and its surroundings: the service manager's socket, a process that makes calls.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::{
        fs::{PermissionsExt, chown},
        net::UnixDatagram,
        process::CommandExt,
    },
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use scap::events::{Arch, Syscall};

use crate::common::{Capture, run, scapd};

/// The time limit for anything in a test. Loading all programs on a busy machine takes longest.
const LIMIT: Duration = Duration::from_secs(120);
/// A user who owns nothing.
pub const NOBODY: u32 = 65534;
/// The capabilities that a recording keeps, as bits.
pub const RECORDING: u64 = 1 << 19 | 1 << 2;

/// Waits for a condition.
pub fn until(mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < LIMIT, "it does not become so");
        sleep(Duration::from_millis(50));
    }
}

/// A child that is killed when dropped.
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that makes calls on request. Every Debian system has perl, which makes any system call.
pub struct Generator {
    child: Killed,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Generator {
    pub fn start() -> Generator {
        let perl =
            "$| = 1; while (<STDIN>) { my ($nr, $n) = split; syscall($nr) for 1..$n; print \"done\\n\" }";
        let mut child = Command::new("perl")
            .args(["-e", perl])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut generator = Generator { child: Killed(child), input, output: BufReader::new(output) };
        // Wait until its start is over.
        generator.make("getgid", 0);
        generator
    }

    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Makes calls, and returns when they have been made.
    pub fn make(&mut self, call: &str, count: u32) {
        let number = Syscall::by_name(call).unwrap().number(Arch::NATIVE).unwrap();
        writeln!(self.input, "{number} {count}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line, "done\n");
    }
}

/// Returns a configuration that records calls of the generator, with `more` after the lines of `[record]`.
pub fn config(of: &Generator, syscalls: &str, more: &str) -> String {
    format!("[record]\nsyscalls = '{syscalls}'\npid = {}\n{more}", of.child.0.id())
}

/// A daemon with a directory of its own.
pub struct Daemon {
    folder: tempfile::TempDir,
    child: Killed,
    notify: UnixDatagram,
}

impl Daemon {
    pub fn start(config: &str) -> Daemon {
        Daemon::start_with(config, |_| ())
    }

    pub fn start_with(config: &str, set_up: impl FnOnce(&mut Command)) -> Daemon {
        let mut command = scapd();
        set_up(&mut command);
        Daemon::spawn(config, command, tempfile::tempdir().unwrap())
    }

    /// Starts the daemon as a user with only these capabilities.
    pub fn start_as_nobody(config: &str, capabilities: &str) -> Daemon {
        let folder = tempfile::tempdir().unwrap();
        chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        // Other users may not be able to read the build directory, so run a copy. Another process makes the copy: a
        // file that we have open for writing cannot be executed while another test forks.
        let copy = folder.path().join("scapd");
        let copied =
            Command::new("cp").args([env!("CARGO_BIN_EXE_scapd").as_ref(), copy.as_os_str()]).status();
        assert!(copied.unwrap().success());
        let mut command = Command::new("setpriv");
        let id = NOBODY.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--bounding-set"]);
        command.arg(format!("-all,{capabilities}"));
        command.args([
            "--inh-caps",
            &format!("-all,{capabilities}"),
            "--ambient-caps",
            &format!("-all,{capabilities}"),
        ]);
        command.arg(copy);
        Daemon::spawn(config, command, folder)
    }

    fn spawn(config: &str, mut command: Command, folder: tempfile::TempDir) -> Daemon {
        let socket = folder.path().join("notify.sock");
        let notify = UnixDatagram::bind(&socket).unwrap();
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
        notify.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let path = folder.path().join("scapd.toml");
        let write = |name: &str| folder.path().join(name).display().to_string();
        // Other tests must not depend on the free space.
        let free = if config.contains("keep-free") { "" } else { "keep-free = '1M'\n" };
        let own = format!(
            "[files]\nwrite = '{}'\n{free}[control]\ncontrol = '{}'\n",
            write("x.scap"),
            write("control.sock")
        );
        fs::create_dir(folder.path().join("config.d")).unwrap();
        fs::write(folder.path().join("config.d/own.toml"), own).unwrap();
        fs::write(&path, config).unwrap();
        let child = command
            .args(["daemon", "--config"])
            .arg(path)
            .env("NOTIFY_SOCKET", &socket)
            .env_remove("JOURNAL_STREAM")
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        Daemon { folder, child: Killed(child), notify }
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("scapd.toml")
    }

    /// Returns the name pattern of the files.
    pub fn pattern(&self) -> PathBuf {
        self.folder.path().join("x.scap")
    }

    /// Returns the closed files, in order.
    pub fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> =
            entries.filter(|path| path.extension().is_some_and(|e| e == "scap")).collect();
        files.sort();
        files
    }

    /// Returns the number of events of these programs in all files, each of which must be complete.
    pub fn count<const N: usize>(&self, programs: [&str; N]) -> [u64; N] {
        let mut counts = [0; N];
        for file in self.files() {
            let (code, verified, _) = run(scapd().arg("verify").arg(&file));
            assert_eq!(code, Some(0), "{verified}");
            let capture = Capture::read(&file);
            for (count, program) in counts.iter_mut().zip(programs) {
                *count += capture.count(program);
            }
        }
        counts
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    /// Lets every user access its directory.
    pub fn open_folder(&self) {
        fs::set_permissions(self.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Replaces the configuration.
    pub fn configure(&self, config: &str) {
        fs::write(self.config(), config).unwrap();
    }

    /// Returns the next message to the service manager with this text.
    pub fn wait_for(&mut self, what: &str) -> String {
        let start = Instant::now();
        let mut bytes = [0; 4096];
        loop {
            if let Ok(len) = self.notify.recv(&mut bytes) {
                let message = String::from_utf8_lossy(&bytes[..len]).into_owned();
                if message.contains(what) {
                    return message;
                }
            }
            let ended = self.child.0.try_wait().unwrap();
            assert!(ended.is_none() && start.elapsed() < LIMIT, "no {what} ({ended:?}): {}", self.log());
        }
    }

    /// Returns the first line of the log with this text.
    pub fn wait_for_log(&mut self, what: &str) -> String {
        let start = Instant::now();
        loop {
            if let Some(line) = self.log().lines().find(|line| line.contains(what)) {
                return line.to_owned();
            }
            let ended = self.child.0.try_wait().unwrap();
            assert!(ended.is_none() && start.elapsed() < LIMIT, "no {what} ({ended:?}): {}", self.log());
            sleep(Duration::from_millis(50));
        }
    }

    pub fn wait_until(&self, mut so: impl FnMut(&Daemon) -> bool) {
        until(|| so(self));
    }

    /// Returns the output of `scapd ctl status`.
    pub fn status(&self) -> serde_json::Value {
        let (code, said, error) = run(&mut ctl(self, &["status", "--json"]));
        assert_eq!(code, Some(0), "{error}");
        serde_json::from_str(&said).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child.0), signal).unwrap();
    }

    /// Returns /proc/PID/task/TID/status of each of its threads.
    pub fn threads(&self) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.0.id())).unwrap();
        // A thread may end meanwhile.
        tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("status")).ok()).collect()
    }

    /// Returns the capabilities that any of its threads still has, as bits.
    pub fn capabilities(&self) -> u64 {
        let process = procfs::process::Process::new(self.child.0.id() as i32).unwrap();
        let tasks: Vec<_> = process.tasks().unwrap().collect();
        assert!(tasks.len() > 3, "too few threads for a service");
        tasks
            .into_iter()
            .filter_map(|task| task.ok()?.status().ok())
            .fold(0, |all, s| all | s.capeff | s.capprm)
    }

    /// Waits for its end, and returns exit code and log.
    pub fn end(&mut self) -> (Option<i32>, String) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.0.try_wait().unwrap() {
                return (status.code(), self.log());
            }
            assert!(start.elapsed() < LIMIT, "it does not end: {}", self.log());
            sleep(Duration::from_millis(20));
        }
    }
}

/// Returns `scapd ctl` for that daemon.
pub fn ctl(daemon: &Daemon, words: &[&str]) -> Command {
    let mut command = scapd();
    command.arg("ctl").args(words).arg("--socket").arg(daemon.socket());
    command
}

/// Parses the metrics: name, labels and value of each sample. Each line must be a sample or a known kind of comment.
pub fn samples(text: &str) -> Vec<(String, String, f64)> {
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut samples = Vec::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(comment) = line.strip_prefix("# ") {
            assert!(["HELP ", "TYPE ", "UNIT "].iter().any(|kind| comment.starts_with(kind)), "{line}");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').unwrap();
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{line}");
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (_, value) = label.split_once('=').unwrap();
            assert!(value.starts_with('"') && value.ends_with('"'), "{line}");
        }
        samples.push((name.to_owned(), labels.to_owned(), value.parse().unwrap()));
    }
    samples
}
