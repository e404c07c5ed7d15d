//! Memory: advice, mappings, protection keys, policies of NUMA nodes.

use std::os::fd::AsRawFd;

use crate::compat::LowMemory;
use crate::{
    by_number,
    cases::ext_number::BAD,
    fails,
    harness::{Params, not_testable},
    rows,
    rows::{Row, RowTest},
    scratch::{fd_of, own},
    succeeds, syscall,
};

pub const ROWS: &[RowTest] = rows![
    madvise,
    process_madvise,
    process_mrelease,
    mincore,
    msync,
    mremap,
    remap_file_pages,
    mseal,
    memfd_secret,
    map_shadow_stack,
    pkey_alloc,
    pkey_free,
    pkey_mprotect,
    mbind,
    set_mempolicy,
    get_mempolicy,
    set_mempolicy_home_node,
    migrate_pages,
    move_pages,
];

const PAGE: usize = 4096;
/// An address that is not at the start of a page.
const ODD: usize = 0x1003;

/// Two pages of memory, until it is dropped.
struct Pages(usize);

impl Pages {
    const SIZE: usize = 2 * PAGE;

    fn new(flags: i32) -> Pages {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let address = syscall!(SYS_mmap, 0usize, Pages::SIZE, prot, flags | libc::MAP_ANONYMOUS, -1, 0usize);
        assert!(address > 0);
        Pages(address as usize)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        syscall!(SYS_munmap, self.0, Pages::SIZE);
    }
}

fn madvise(r: &mut Row) {
    fails!(r, libc::EINVAL, ODD, 9usize, 14).u64("addr", 0x1003).u64("size", 9).u32("advice", 14);
    let pages = Pages::new(libc::MAP_PRIVATE);
    let (_, event) = succeeds!(r, pages.0, PAGE, libc::MADV_DONTNEED);
    event.u64("addr", pages.0 as u64).u64("size", 4096).u32("advice", 4);
}

/// This process, as a descriptor.
fn own_pidfd() -> std::fs::File {
    own(syscall!(SYS_pidfd_open, std::process::id(), 0))
}

fn process_madvise(r: &mut Row) {
    let pages = Pages::new(libc::MAP_PRIVATE);
    let ranges = [[pages.0, PAGE], [pages.0 + PAGE, PAGE]];
    let event = fails!(r, libc::EBADF, BAD, ranges.as_ptr(), 2usize, 20, 0);
    event.i64("pidfd", BAD.into()).structures("iovec", &ranges).u64("n", 2).u32("advice", 20).u32("flags", 0);
    let process = own_pidfd();
    let (_, event) = succeeds!(r, process.as_raw_fd(), ranges.as_ptr(), 1usize, 21, 0);
    event.i64("pidfd", fd_of(&process)).u64("n", 1).u32("advice", 21).u32("flags", 0);
    event.members("iovec", &[("iov_base", pages.0 as i64), ("iov_len", 4096)]);
}

fn process_mrelease(r: &mut Row) {
    // A success needs a process that is being killed and has not given its memory back yet.
    fails!(r, libc::EINVAL, BAD, 5).i64("pidfd", BAD.into()).u32("flags", 5);
    fails!(r, libc::EBADF, BAD - 1, 0).i64("pidfd", i64::from(BAD) - 1).u32("flags", 0);
}

fn mincore(r: &mut Row) {
    let mut resident = [0u8; 2];
    let vec = resident.as_mut_ptr();
    let event = fails!(r, libc::EINVAL, ODD, 9usize, vec);
    event.u64("addr", 0x1003).u64("size", 9).u64("vec", vec as u64).empty("pages");
    let pages = Pages::new(libc::MAP_PRIVATE);
    // SAFETY: the page is the test's own, and can be written to.
    unsafe { *(pages.0 as *mut u8).add(PAGE) = 1 };
    let (_, event) = succeeds!(r, pages.0, Pages::SIZE - 1, vec);
    event.u64("addr", pages.0 as u64).u64("size", 8191).u64("vec", vec as u64).bytes("pages", &[0, 1]);
}

fn msync(r: &mut Row) {
    fails!(r, libc::EINVAL, ODD, 9usize, 5).u64("addr", 0x1003).u64("size", 9).u32("flags", 5);
    let pages = Pages::new(libc::MAP_SHARED);
    let (_, event) = succeeds!(r, pages.0, PAGE, libc::MS_SYNC | libc::MS_INVALIDATE);
    event.u64("addr", pages.0 as u64).u64("size", 4096).u32("flags", 6);
}

fn mremap(r: &mut Row) {
    let event = fails!(r, libc::EINVAL, ODD, 0x2000usize, 0x3000usize, 3usize, 0x5003usize);
    event.u64("old_address", 0x1003).u64("old_size", 0x2000).u64("new_size", 0x3000).u64("flags", 3);
    event.u64("new_address", 0x5003);
    let pages = Pages::new(libc::MAP_PRIVATE);
    // Smaller, in place; the test then unmaps what is left.
    let (_, event) = succeeds!(r, pages.0, Pages::SIZE, PAGE, 0usize, 0x6000usize);
    event.u64("old_address", pages.0 as u64).u64("old_size", 8192).u64("new_size", 4096).u64("flags", 0);
    event.u64("new_address", 0x6000);
}

fn remap_file_pages(r: &mut Row) {
    let event = fails!(r, libc::EINVAL, ODD, 9usize, 7usize, 0x5_0000_0003usize, 0x10000usize);
    event.u64("addr", 0x1003).u64("size", 9).u64("prot", 7).u64("pgoff", 0x5_0000_0003).u64("flags", 0x10000);
    let pages = Pages::new(libc::MAP_SHARED);
    let (_, event) = succeeds!(r, pages.0, PAGE, 0usize, 1usize, 0usize);
    event.u64("addr", pages.0 as u64).u64("size", 4096).u64("prot", 0).u64("pgoff", 1).u64("flags", 0);
}

fn mseal(r: &mut Row) {
    fails!(r, libc::EINVAL, ODD, 9usize, 5usize).u64("addr", 0x1003).u64("size", 9).u64("flags", 5);
    // Sealed memory stays until the process ends, so it must be a child's.
    let (pages, number) = (Pages::new(libc::MAP_PRIVATE), r.native());
    let event = r.in_child(|| by_number!(number, pages.0, PAGE, 0usize));
    event.i64("res", 0).u64("addr", pages.0 as u64).u64("size", 4096).u64("flags", 0);
}

fn memfd_secret(r: &mut Row) {
    fails!(r, libc::EINVAL, 0x40u32).u32("flags", 0x40);
    let (fd, event) = succeeds!(r, libc::O_CLOEXEC);
    event.u32("flags", 0x80000);
    drop(own(fd));
}

fn map_shadow_stack(r: &mut Row) {
    let number = r.native();
    let event = r.fails_anyhow(|| by_number!(number, ODD, 0x2000usize, 9));
    event.u64("addr", 0x1003).u64("size", 0x2000).u32("flags", 9);
    let has_one = || std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("user_shstk"));
    if !has_one() {
        not_testable("this processor has no shadow stacks");
    }
    let (address, event) = r.succeeds(|| by_number!(number, 0usize, PAGE, 1));
    event.u64("addr", 0).u64("size", 4096).u32("flags", 1);
    syscall!(SYS_munmap, address, PAGE);
}

fn pkey_alloc(r: &mut Row) {
    fails!(r, libc::EINVAL, 9usize, 3usize).u64("flags", 9).u64("access_rights", 3);
    let (key, event) = succeeds_with_keys(r);
    event.u64("flags", 0).u64("access_rights", 2);
    syscall!(SYS_pkey_free, key);
}

/// Allocates a protection key, which not every processor has.
fn succeeds_with_keys(r: &mut Row) -> (i64, Params) {
    let key = syscall!(SYS_pkey_alloc, 0, 0);
    if key < 0 {
        not_testable("this processor has no protection keys");
    }
    syscall!(SYS_pkey_free, key);
    succeeds!(r, 0usize, 2usize)
}

fn pkey_free(r: &mut Row) {
    fails!(r, libc::EINVAL, -9).i32("pkey", -9);
    let key = syscall!(SYS_pkey_alloc, 0, 0);
    if key < 0 {
        not_testable("this processor has no protection keys");
    }
    succeeds!(r, key).1.i32("pkey", key as i32);
}

fn pkey_mprotect(r: &mut Row) {
    let event = fails!(r, libc::EINVAL, ODD, 9usize, 0x0300_0007usize, 4);
    event.u64("addr", 0x1003).u64("size", 9).u64("prot", 0x0300_0007).i32("pkey", 4);
    // Without a key it is mprotect, on every processor.
    let pages = Pages::new(libc::MAP_PRIVATE);
    let (_, event) = succeeds!(r, pages.0, PAGE, libc::PROT_READ as usize, -1);
    event.u64("addr", pages.0 as u64).u64("size", 4096).u64("prot", 1).i32("pkey", -1);
}

/// Node 0, as a node mask.
const NODE_0: [u64; 2] = [1, 0];
const MPOL_BIND: usize = 2;

fn mbind(r: &mut Row) {
    let odd = [5u64, 1 << 3];
    let event = fails!(r, libc::EINVAL, ODD, 9usize, 0x8003usize, odd.as_ptr(), 129usize, 6);
    event.u64("addr", 0x1003).u64("size", 9).u64("mode", 0x8003).bytes("nodemask", bytes(&odd));
    event.u64("maxnode", 129).u32("flags", 6);
    let pages = Pages::new(libc::MAP_PRIVATE);
    let (_, event) = succeeds!(r, pages.0, PAGE, MPOL_BIND, NODE_0.as_ptr(), 64usize, 1);
    event.u64("addr", pages.0 as u64).u64("size", 4096).u64("mode", 2).bytes("nodemask", bytes(&NODE_0[..1]));
    event.u64("maxnode", 64).u32("flags", 1);
    if crate::compat::HERE {
        let mask = LowMemory::new().put_words(&[3, 1]);
        let event = r.call32(-22, [0x1003, 9, 1, mask, 33, 2]);
        event.u64("addr", 0x1003).u64("size", 9).u64("mode", 1).bytes("nodemask", &[3, 0, 0, 0]);
        event.u64("maxnode", 33).u32("flags", 2);
    }
}

fn bytes(words: &[u64]) -> &[u8] {
    // SAFETY: any bytes of integers are valid.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}

fn set_mempolicy(r: &mut Row) {
    let event = fails!(r, libc::EINVAL, 99, NODE_0.as_ptr(), 65usize);
    event.u32("mode", 99).bytes("nodemask", bytes(&NODE_0[..1])).u64("maxnode", 65);
    let number = r.native();
    let event = r.in_child(|| by_number!(number, MPOL_BIND, NODE_0.as_ptr(), 66usize));
    event.i64("res", 0).u32("mode", 2).bytes("nodemask", bytes(&NODE_0)).u64("maxnode", 66);
}

fn get_mempolicy(r: &mut Row) {
    const ADDR: usize = 2;
    const MEMS_ALLOWED: usize = 4;
    let (mut mode, mut mask) = (77i32, [0u64; 17]);
    let event = fails!(r, libc::EFAULT, &raw mut mode, mask.as_mut_ptr(), 1025usize, 0x18usize, ADDR);
    event.empty("mode").empty("nodemask").u64("maxnode", 1025).u64("addr", 0x18).u64("flags", 2);
    let (_, event) = succeeds!(r, &raw mut mode, mask.as_mut_ptr(), 1025usize, 0usize, MEMS_ALLOWED);
    assert_eq!(mask[0] & 1, 1, "node 0 is there");
    event.u32("mode", mode as u32).bytes("nodemask", bytes(&mask[..16])).u64("maxnode", 1025);
    event.u64("addr", 0).u64("flags", 4);
}

fn set_mempolicy_home_node(r: &mut Row) {
    let event = fails!(r, libc::EINVAL, 0x1003usize, 9usize, 3usize, 5usize);
    event.u64("start", 0x1003).u64("size", 9).u64("home_node", 3).u64("flags", 5);
    let pages = Pages::new(libc::MAP_PRIVATE);
    let mask = NODE_0.as_ptr();
    assert_eq!(syscall!(SYS_mbind, pages.0, Pages::SIZE, MPOL_BIND, mask, 64usize, 0), 0);
    let (_, event) = succeeds!(r, pages.0, PAGE, 0usize, 0usize);
    event.u64("start", pages.0 as u64).u64("size", 4096).u64("home_node", 0).u64("flags", 0);
}

fn migrate_pages(r: &mut Row) {
    let other = [6u64];
    let event = fails!(r, libc::ESRCH, 0x3fff_fff7, 65usize, NODE_0.as_ptr(), NODE_0.as_ptr());
    event.i64("pid", 0x3fff_fff7).u64("maxnode", 65);
    event.bytes("old_nodes", bytes(&NODE_0[..1])).bytes("new_nodes", bytes(&NODE_0[..1]));
    // Moves nothing: no page is on these nodes.
    let (_, event) = succeeds!(r, 0, 64usize, other.as_ptr(), NODE_0.as_ptr());
    event.i64("pid", 0).u64("maxnode", 64);
    event.bytes("old_nodes", bytes(&other)).bytes("new_nodes", bytes(&NODE_0[..1]));
}

fn move_pages(r: &mut Row) {
    let pages = Pages::new(libc::MAP_PRIVATE);
    // SAFETY: the test's own memory.
    unsafe { std::ptr::with_exposed_provenance_mut::<u8>(pages.0).write_volatile(1) };
    let (addresses, nodes, mut status) = ([pages.0, pages.0 + PAGE], [0i32, 3], [77i32; 2]);
    let event = fails!(
        r,
        libc::ESRCH,
        0x3fff_fff7,
        2usize,
        addresses.as_ptr(),
        nodes.as_ptr(),
        status.as_mut_ptr(),
        4
    );
    event.i64("pid", 0x3fff_fff7).u64("count", 2).structures("pages", &addresses).structures("nodes", &nodes);
    event.empty("status").u32("flags", 4);
    // Without nodes, it only tells where the pages are.
    let none = std::ptr::null::<u8>();
    let (_, event) = succeeds!(r, 0, 2usize, addresses.as_ptr(), none, status.as_mut_ptr(), 2);
    // Kernels differ in the error of a page that was not touched.
    assert!(status[0] == 0 && status[1] < 0, "{status:?}");
    event.i64("pid", 0).u64("count", 2).structures("pages", &addresses).empty("nodes");
    event.structures("status", &status).u32("flags", 2);
}
