//! The load: processes that make numbered calls, and some other work.

use std::{
    ffi::CString,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use rustix::{
    process::{Signal, set_parent_process_death_signal},
    thread::gettid,
};

use crate::shared::{Call, PROCESSES, Pace, Shared};

const PAUSE: Duration = Duration::from_millis(10);

/// The root process of the load: starts the generators and does other work until told to stop.
pub fn run(memory: &Path, limit: Duration) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let shared = Shared::open(memory)?;
    let exe = std::env::current_exe()?;
    let generators: Vec<Child> = (0..PROCESSES)
        .map(|index| {
            let mut command = Command::new(&exe);
            command.arg("generate").arg(memory).arg(index.to_string()).arg(limit.as_secs().to_string());
            command.spawn().context("cannot start a generator")
        })
        .collect::<Result<_, _>>()?;
    let end = Instant::now() + limit;
    let network = thread::spawn(move || talk(shared, end));
    work(shared, end)?;
    network.join().map_err(|_| anyhow::anyhow!("the network load panicked"))??;
    for mut generator in generators {
        generator.wait()?;
    }
    shared.set_over();
    // Later files must still have this process in their state of the machine: it stays until killed.
    thread::sleep(limit);
    Ok(())
}

/// Runs short-lived programs, reads and writes.
fn work(shared: Shared, end: Instant) -> anyhow::Result<()> {
    while !shared.stopped() && Instant::now() < end {
        let status =
            Command::new("/bin/true").stdin(Stdio::null()).status().context("cannot run /bin/true")?;
        anyhow::ensure!(status.success(), "/bin/true: {status}");
        let mut zero = std::fs::File::open("/dev/zero")?;
        let mut null = std::fs::File::create("/dev/null")?;
        let mut bytes = [0; 512];
        for _ in 0..20 {
            zero.read_exact(&mut bytes)?;
            null.write_all(&bytes)?;
        }
        thread::sleep(5 * PAUSE);
    }
    Ok(())
}

/// Makes connections over loopback.
fn talk(shared: Shared, end: Instant) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    while !shared.stopped() && Instant::now() < end {
        let mut client = TcpStream::connect(address)?;
        let (mut server, _) = listener.accept()?;
        client.write_all(b"ping")?;
        let mut bytes = [0; 4];
        server.read_exact(&mut bytes)?;
        server.write_all(&bytes)?;
        client.read_exact(&mut bytes)?;
        thread::sleep(5 * PAUSE);
    }
    Ok(())
}

/// Runs a generator: one thread per kind of call.
pub fn generate(memory: &Path, index: usize, limit: Duration) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    anyhow::ensure!(index < PROCESSES, "there are {PROCESSES} generators");
    let shared = Shared::open(memory)?;
    let end = Instant::now() + limit;
    let first = index * Call::ALL.len();
    let threads: Vec<_> =
        (first..first + Call::ALL.len()).map(|id| thread::spawn(move || call(shared, id, end))).collect();
    for thread in threads {
        thread.join().map_err(|_| anyhow::anyhow!("a generator panicked"))?;
    }
    Ok(())
}

fn call(shared: Shared, thread: usize, end: Instant) {
    let slot = shared.slot(thread);
    let tid = gettid().as_raw_nonzero().get().unsigned_abs();
    slot.tid.store(tid.into(), std::sync::atomic::Ordering::SeqCst);
    while !shared.stopped() && Instant::now() < end {
        let pace = shared.pace();
        for _ in 0..pace.burst() {
            slot.call(|number| make(Call::of(thread), thread, number));
        }
        if pace != Pace::Full {
            thread::sleep(PAUSE);
        }
    }
}

/// Makes a call that fails without effect.
fn make(call: Call, thread: usize, number: u64) {
    match call {
        Call::Lseek => {
            // SAFETY: descriptor -1 does not exist.
            unsafe { libc::lseek(-1, marker(thread, number).cast_signed(), libc::SEEK_SET) };
        }
        Call::Openat2 => {
            let path = CString::new(format!("{ROOT}{thread}/{number}")).unwrap_or_default();
            let how = [0_u64; 3];
            // SAFETY: the path ends with NUL, and `how` has the size passed: struct open_how has three u64 fields.
            unsafe {
                libc::syscall(
                    libc::SYS_openat2,
                    libc::AT_FDCWD,
                    path.as_ptr(),
                    how.as_ptr(),
                    size_of_val(&how),
                )
            };
        }
    }
}

/// A path that does not exist.
const ROOT: &str = "/scapd-soak/";
/// Bits of a marker for the call's number.
const NUMBER: u32 = 40;

fn marker(thread: usize, number: u64) -> u64 {
    (thread as u64) << NUMBER | number
}

/// Returns thread and number of a call from its offset.
pub fn of_offset(offset: u64) -> (usize, u64) {
    ((offset >> NUMBER) as usize, offset & ((1 << NUMBER) - 1))
}

/// Returns thread and number of a call from its path.
pub fn of_path(path: &[u8]) -> Option<(usize, u64)> {
    let (thread, number) = std::str::from_utf8(path).ok()?.strip_prefix(ROOT)?.split_once('/')?;
    Some((thread.parse().ok()?, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_read_back() {
        assert_eq!(of_offset(marker(5, 123_456_789)), (5, 123_456_789));
        assert_eq!(of_path(b"/scapd-soak/4/77"), Some((4, 77)));
        assert_eq!(of_path(b"/etc/passwd"), None);
    }
}
