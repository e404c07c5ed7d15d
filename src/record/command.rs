//! Starts the command to record, and holds it before its exec until the recording is ready.
//!
//! The child keeps nothing of the recorder. It closes its close-on-exec descriptors at once and resets signal handlers,
//! and the kernel kills it with the recorder's thread: it cannot outlive a recorder that fails or is killed.

use std::{
    env,
    ffi::{CString, OsStr, OsString, c_char, c_int},
    fs::{self, File},
    io::{self, Read, Write},
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    ptr,
};

use anyhow::Context;
use rustix::process::{Pid, Signal};

use crate::{escape::shown, limits::OpenFiles, probe::id_in_proc};

/// An error of starting a command.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// No program has that name.
    #[error("cannot run {}: there is no such program{}", shown(.name.as_ref()), .place)]
    NotFound {
        /// The name as typed.
        name: OsString,
        /// Where it was searched: ` in PATH`, or empty.
        place: &'static str,
    },
    /// The kernel refuses to execute it.
    #[error("cannot run {}", shown(.name.as_ref()))]
    Refused {
        /// The name as typed.
        name: OsString,
        /// The kernel's error.
        source: io::Error,
    },
}

/// Where the command's standard output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdout {
    /// To the recorder's standard output.
    Inherited,
    /// To the recorder's standard error, because the capture goes to its standard output.
    Stderr,
}

/// A child process that waits before its exec, then runs the command.
#[derive(Debug)]
pub struct HeldCommand {
    pid: u32,
    child: Child,
    name: OsString,
    /// A write lets the child exec; closing it ends the child.
    go: Option<File>,
    /// Receives the errno of a failed exec; end of file means that the exec succeeded.
    failure: File,
}

impl HeldCommand {
    /// Forks a child for the command, with this limit of open files, and with these signals ignored; returns `None` if
    /// the command is empty. The calling thread must live as long as the child is held.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] if there is no such program, and errors of fork(2) and pipe(2).
    pub fn spawn(
        command: &[OsString],
        stdout: Stdout,
        limit: OpenFiles,
        ignored: &[c_int],
    ) -> anyhow::Result<Option<HeldCommand>> {
        let Some((name, arguments)) = command.split_first() else { return Ok(None) };
        let image = Image::new(name, arguments)?;
        let (go_reader, go) = pipe()?;
        let (failure, failure_writer) = pipe()?;
        let child = Inside {
            image,
            limit,
            ignored: ignored.to_vec(),
            parent: rustix::process::getpid(),
            go: go_reader.into(),
            failure: failure_writer.into(),
            highest: highest_descriptor(),
        };
        // The name appears only in errors of fork: the child execs in `pre_exec` and never returns.
        let mut started = Command::new(name);
        if stdout == Stdout::Stderr {
            let stderr =
                rustix::io::fcntl_dupfd_cloexec(io::stderr(), 3).context("cannot duplicate stderr")?;
            started.stdout(Stdio::from(stderr));
        }
        // SAFETY: between fork and exec the closure only makes system calls, on memory and descriptors that it owns.
        unsafe { started.pre_exec(move || child.run()) };
        let child = started.spawn().with_context(|| format!("cannot start {}", shown(name.as_ref())))?;
        let mut held = HeldCommand { pid: 0, child, name: name.clone(), go: Some(go), failure };
        held.pid = id_in_proc(held.child.id()).context("cannot find the command in /proc")?;
        Ok(Some(held))
    }

    /// Returns the child's process id in /proc.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns whether the child keeps a descriptor across its exec.
    pub fn keeps(&self, fd: u64) -> bool {
        const CLOSE_ON_EXEC: u32 = 0o2_000_000;
        let info = fs::read_to_string(format!("/proc/{}/fdinfo/{fd}", self.pid())).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        flags
            .and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok())
            .is_some_and(|f| f & CLOSE_ON_EXEC == 0)
    }

    /// Lets the child exec, and waits until it has.
    ///
    /// # Errors
    /// [`CommandError::Refused`] if the kernel refuses to execute the program.
    pub fn release(&mut self) -> anyhow::Result<()> {
        let Some(mut go) = self.go.take() else { return Ok(()) };
        match go.write_all(&[1]) {
            // The child was killed meanwhile: its exit status says so.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("cannot start the command")?,
        }
        let mut errno = [0; size_of::<c_int>()];
        match self.failure.read_exact(&mut errno) {
            Ok(()) => {
                let source = io::Error::from_raw_os_error(c_int::from_ne_bytes(errno));
                Err(CommandError::Refused { name: self.name.clone(), source }.into())
            }
            // The child has exec'ed, or was killed: its exit status says which.
            Err(_) => Ok(()),
        }
    }

    /// Returns the command's exit status; `None` while it runs.
    pub fn try_wait(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.child.try_wait().context("cannot wait for the command")
    }
}

/// Kills a child that was never released.
impl Drop for HeldCommand {
    fn drop(&mut self) {
        if self.go.take().is_some() {
            // Both fail only if the child has already ended.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The arguments of execvp(3), prepared before the fork because the child must not allocate memory.
struct Image {
    program: CString,
    /// The strings that `pointers` points to.
    _arguments: Vec<CString>,
    /// Pointers to the arguments, ending with a null pointer.
    pointers: Vec<*const c_char>,
}

// SAFETY: the pointers point into strings that the value owns and that never change.
unsafe impl Send for Image {}
// SAFETY: as above.
unsafe impl Sync for Image {}

/// Checks that the program of a command exists. An empty command passes.
///
/// # Errors
/// [`CommandError::NotFound`] if there is no such program.
pub fn check(command: &[OsString]) -> anyhow::Result<()> {
    let Some((name, arguments)) = command.split_first() else { return Ok(()) };
    Image::new(name, arguments).map(drop)
}

impl Image {
    /// Prepares the arguments. Looks the program up in `PATH` here, so that the child makes a single execve.
    fn new(name: &OsStr, arguments: &[OsString]) -> anyhow::Result<Image> {
        let not_found = |place| CommandError::NotFound { name: name.to_owned(), place };
        let has_slash = name.as_bytes().contains(&b'/');
        let program = match has_slash {
            true => PathBuf::from(name),
            false => find(name).ok_or_else(|| not_found(" in PATH"))?,
        };
        if !program.exists() {
            return Err(not_found("").into());
        }
        let text = |text: &OsStr| {
            CString::new(text.as_bytes()).context("an argument of the command contains a NUL byte")
        };
        let arguments = [name].into_iter().chain(arguments.iter().map(OsString::as_os_str));
        let arguments = arguments.map(text).collect::<anyhow::Result<Vec<_>>>()?;
        let pointers = arguments.iter().map(|argument| argument.as_ptr()).chain([ptr::null()]).collect();
        Ok(Image { program: text(program.as_os_str())?, _arguments: arguments, pointers })
    }
}

/// The state of the child between fork and exec.
struct Inside {
    image: Image,
    limit: OpenFiles,
    ignored: Vec<c_int>,
    parent: Pid,
    go: OwnedFd,
    failure: OwnedFd,
    highest: RawFd,
}

impl Inside {
    /// Waits for the release, then executes the program. Only makes system calls.
    ///
    /// # Errors
    /// Never returns: it ends the process instead.
    fn run(&self) -> io::Result<()> {
        self.leave_parent();
        if self.limit.restore().is_err() {
            exit(1);
        }
        let mut byte = [0];
        // End of file without a byte: the recorder has failed or is gone.
        let go = rustix::io::retry_on_intr(|| rustix::io::read(&self.go, &mut byte));
        if go != Ok(1) {
            exit(1);
        }
        // From here on the command may outlive the recorder.
        let _ = rustix::process::set_parent_process_death_signal(None);
        // SAFETY: the strings end with NUL, the array ends with a null pointer, and both are alive.
        unsafe { libc::execvp(self.image.program.as_ptr(), self.image.pointers.as_ptr()) };
        let errno = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
        let _ = rustix::io::write(&self.failure, &errno.to_ne_bytes());
        exit(1)
    }

    /// Drops what the fork copied from the recorder.
    fn leave_parent(&self) {
        let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
        if rustix::process::getppid() != Some(self.parent) {
            exit(1);
        }
        for fd in 3..=self.highest {
            if fd != self.go.as_raw_fd() && fd != self.failure.as_raw_fd() {
                close_if_on_exec(fd);
            }
        }
        self.reset_handlers();
    }

    /// Resets handled signals to what they were at the start. Ignored signals stay ignored, as under nohup.
    fn reset_handlers(&self) {
        for signal in 1..=libc::SIGRTMAX() {
            let action = if self.ignored.contains(&signal) { libc::SIG_IGN } else { libc::SIG_DFL };
            // SAFETY: the structure is plain numbers, and the action is no function of this process.
            unsafe {
                let mut found: libc::sigaction = std::mem::zeroed();
                if libc::sigaction(signal, ptr::null(), &mut found) == 0
                    && ![libc::SIG_IGN, libc::SIG_DFL].contains(&found.sa_sigaction)
                {
                    libc::signal(signal, action);
                }
            }
        }
    }
}

/// Closes a close-on-exec descriptor, most often a BPF map or program. Descriptors without the flag stay open.
fn close_if_on_exec(fd: RawFd) {
    // SAFETY: fcntl(2) and close(2) take numbers. The descriptors are copies that nothing in this process uses.
    unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFD);
        if flags >= 0 && flags & libc::FD_CLOEXEC != 0 {
            libc::close(fd);
        }
    }
}

/// Ends the child at once. exit(3) would run the recorder's exit handlers.
fn exit(code: c_int) -> ! {
    // SAFETY: takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// Returns the highest descriptor that may be open, plus a margin for those opened before the fork.
fn highest_descriptor() -> RawFd {
    const MARGIN: RawFd = 64;
    const WITHOUT_PROC: RawFd = 1 << 16;
    let Ok(open) = fs::read_dir("/proc/self/fd") else { return WITHOUT_PROC };
    let numbers = open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<RawFd>().ok());
    numbers.max().map_or(WITHOUT_PROC, |highest| highest + MARGIN)
}

/// Finds a program in `PATH`.
fn find(name: &OsStr) -> Option<PathBuf> {
    let executable =
        |path: &PathBuf| path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(executable)
}

/// Creates a pipe whose ends are close-on-exec.
fn pipe() -> anyhow::Result<(File, File)> {
    let (reader, writer) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).context("cannot create a pipe")?;
    Ok((reader.into(), writer.into()))
}

#[cfg(test)]
mod tests;
