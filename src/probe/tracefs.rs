//! Reads the ids of tracepoints from tracefs: where it is mounted, or from a private mount that no other process sees.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd},
};

use libbpf_rs::{Link, ProgramMut, libbpf_sys};
use rustix::{
    fs::{Mode, OFlags, openat},
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen},
};

use crate::kernel::{self, FOLDER};

/// The directory of the tracepoints of every system call.
const EVENTS: &str = "events/raw_syscalls";

/// Mounts tracefs in no namespace; the mount ends with its last descriptor. Needs CAP_SYS_ADMIN.
fn detached() -> rustix::io::Result<OwnedFd> {
    let context = fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let root = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    openat(&root, EVENTS, FOLDER, Mode::empty())
}

/// Returns the id of `sys_enter` or `sys_exit`.
pub(super) fn id(tracepoint: &str) -> io::Result<u64> {
    let folder = kernel::tracefs(EVENTS).or_else(|_| detached())?;
    let file = openat(&folder, format!("{tracepoint}/id"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = String::new();
    File::from(file).read_to_string(&mut text)?;
    text.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Attaches a program to the tracepoint with this id. (libbpf only finds the id where tracefs is mounted.)
pub(super) fn attach(program: &ProgramMut<'_>, id: u64) -> libbpf_rs::Result<Link> {
    let event = perf_event(id).map_err(libbpf_rs::Error::from)?;
    let link = program.attach_perf_event(event.as_raw_fd())?;
    // The link owns the descriptor now.
    let _ = event.into_raw_fd();
    Ok(link)
}

/// Opens the perf event of a tracepoint. Programs on it run on every CPU.
fn perf_event(id: u64) -> io::Result<OwnedFd> {
    let attributes = libbpf_sys::perf_event_attr {
        type_: libbpf_sys::PERF_TYPE_TRACEPOINT,
        size: size_of::<libbpf_sys::perf_event_attr>() as u32,
        config: id,
        ..Default::default()
    };
    let (every_task, cpu, no_group) = (-1, 0, -1);
    // SAFETY: the kernel reads the attributes, which state their size, and returns a new descriptor or an error.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            every_task,
            cpu,
            no_group,
            libc::c_ulong::from(libbpf_sys::PERF_FLAG_FD_CLOEXEC),
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
