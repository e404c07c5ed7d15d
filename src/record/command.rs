//! A command that is started for the recording: held before it execs, until the recording is ready.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Read, Write},
    os::{fd::AsFd, unix::process::CommandExt},
    path::PathBuf,
    process::{Child, Command, ExitStatus},
    thread::{self, JoinHandle},
};

use anyhow::{Context, anyhow};

use crate::{limits::OpenFiles, probe::id_in_proc};

/// A child that waits to exec, and later runs.
#[derive(Debug)]
pub struct Held {
    pid: u32,
    name: OsString,
    go: Option<File>,
    spawner: Option<JoinHandle<io::Result<Child>>>,
    child: Option<Child>,
}

impl Held {
    /// Forks a child for the command, which gets this limit of open files; `None` if the command is empty.
    ///
    /// The standard library returns from `spawn` only when the child has exec'ed, so it is called on another thread.
    pub fn spawn(command: &[OsString], limit: OpenFiles) -> anyhow::Result<Option<Held>> {
        let Some((name, arguments)) = command.split_first() else { return Ok(None) };
        let (pid_reader, pid_writer) = pipe()?;
        let (go_reader, go_writer) = pipe()?;
        // Looked up here, so that the recording starts with the one execve that counts.
        let mut command = Command::new(find(name).unwrap_or_else(|| name.into()));
        command.arg0(name).args(arguments);
        // SAFETY: between fork and exec the closure only makes system calls, on descriptors that it owns.
        unsafe {
            command.pre_exec(move || {
                limit.restore()?;
                let pid = rustix::process::getpid().as_raw_nonzero().get().to_ne_bytes();
                rustix::io::write(&pid_writer, &pid)?;
                // Ends when the parent writes, or has gone.
                rustix::io::retry_on_intr(|| rustix::io::read(go_reader.as_fd(), &mut [0u8]))?;
                Ok(())
            });
        }
        let spawner = thread::Builder::new()
            .name("scapd-command".into())
            .spawn(move || command.spawn())
            .context("cannot start a thread")?;
        let mut pid = [0; 4];
        let mut held =
            Held { pid: 0, name: name.clone(), go: Some(go_writer), spawner: Some(spawner), child: None };
        if { pid_reader }.read_exact(&mut pid).is_err() {
            // The fork failed: the thread knows why.
            held.join()?;
            return Err(anyhow!("cannot start {}", name.display()));
        }
        let pid = u32::from_ne_bytes(pid);
        held.pid = id_in_proc(pid).context("cannot find the command in /proc")?;
        Ok(Some(held))
    }

    /// The child's process id, as /proc has it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the child will still have a descriptor when it has exec'ed.
    pub fn keeps(&self, fd: u64) -> bool {
        const CLOSE_ON_EXEC: u32 = 0o2_000_000;
        let info = fs::read_to_string(format!("/proc/{}/fdinfo/{fd}", self.pid)).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        flags
            .and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok())
            .is_some_and(|f| f & CLOSE_ON_EXEC == 0)
    }

    /// Lets the child exec.
    pub fn release(&mut self) -> anyhow::Result<()> {
        if let Some(mut go) = self.go.take() {
            go.write_all(&[1]).context("cannot start the command")?;
        }
        self.join()
    }

    fn join(&mut self) -> anyhow::Result<()> {
        let Some(spawner) = self.spawner.take() else { return Ok(()) };
        let child = spawner.join().map_err(|_| anyhow!("the thread that starts the command has panicked"))?;
        self.child = Some(child.with_context(|| format!("cannot run {}", self.name.display()))?);
        Ok(())
    }

    /// How the command ended; `None` while it runs.
    pub fn try_wait(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        match &mut self.child {
            Some(child) => child.try_wait().context("cannot wait for the command"),
            None => Ok(None),
        }
    }
}

/// The program of that name in `PATH`; `None` for one with a slash, or if there is none.
fn find(name: &OsStr) -> Option<PathBuf> {
    if name.as_encoded_bytes().contains(&b'/') {
        return None;
    }
    let executable =
        |path: &PathBuf| path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(executable)
}

/// A pipe whose ends are closed in a child that execs.
fn pipe() -> anyhow::Result<(File, File)> {
    let (reader, writer) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).context("cannot make a pipe")?;
    Ok((reader.into(), writer.into()))
}
