//! Prints a file that it opens, reads and closes through io_uring, without a system call for each.
//!
//! `uring_cat FILE`

use std::{
    env,
    error::Error,
    ffi::CString,
    io::{self, Write},
    os::unix::ffi::OsStrExt,
};

use io_uring::{IoUring, opcode, squeue, types::Fd};

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args_os().nth(1).ok_or("usage: uring_cat FILE")?;
    let path = CString::new(path.as_bytes())?;
    let mut ring = IoUring::new(1)?;
    let fd = run(&mut ring, opcode::OpenAt::new(Fd(libc::AT_FDCWD), path.as_ptr()).build())?;
    let mut data = vec![0; 64 << 10];
    loop {
        // At the file's current position.
        let read = opcode::Read::new(Fd(fd), data.as_mut_ptr(), data.len() as u32).offset(u64::MAX);
        let count = run(&mut ring, read.build())?;
        if count == 0 {
            break;
        }
        io::stdout().write_all(&data[..count as usize])?;
    }
    run(&mut ring, opcode::Close::new(Fd(fd)).build())?;
    Ok(())
}

/// Submits a request, and waits for its result.
fn run(ring: &mut IoUring, entry: squeue::Entry) -> io::Result<i32> {
    // SAFETY: what the request refers to lives until this returns, and it has ended by then.
    unsafe { ring.submission().push(&entry) }.map_err(io::Error::other)?;
    ring.submit_and_wait(1)?;
    let result = ring.completion().next().map_or(-libc::EAGAIN, |entry| entry.result());
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result) }
}
