//! Parses the files of a thread in /proc/PID/task/TID.
//!
//! The `procfs` crate has parsers for these files, but they refuse text that is not UTF-8, and parse more than is
//! needed here.

use super::exe::Credentials;
use super::text::{fields, hex, lines, number, shortened};

const MAX_COMM: usize = 15;

/// The fields taken from `stat`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) comm: Vec<u8>,
    pub(super) pgid: i64,
    pub(super) sid: u64,
    pub(super) tty: u32,
    pub(super) pfminor: u64,
    pub(super) pfmajor: u64,
    /// The start time of the thread, in clock ticks since boot.
    pub(super) start: u64,
}

/// The fields taken from `status`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) ppid: u64,
    pub(super) credentials: Credentials,
    /// The number of pid namespaces from that of /proc to the thread's own; 0 if the kernel does not report it.
    pub(super) pid_namespaces: usize,
    pub(super) vtid: Option<i64>,
    pub(super) vpid: Option<i64>,
    pub(super) vpgid: Option<u64>,
    pub(super) vmsize_kb: u32,
    pub(super) vmrss_kb: u32,
    pub(super) vmswap_kb: u32,
    pub(super) cap_inheritable: u64,
    pub(super) cap_permitted: u64,
}

/// Parses `stat`. The name may contain any byte, even `)`: it ends at the last parenthesis.
pub(super) fn parse_stat(text: &[u8]) -> Option<Stat> {
    let start = text.iter().position(|&byte| byte == b'(')? + 1;
    let end = text.iter().rposition(|&byte| byte == b')')?;
    let comm = shortened(text.get(start..end)?.to_vec(), MAX_COMM);
    // The remaining fields, from the third one (the state) on.
    let mut words = fields(text.get(end + 1..)?);
    let pgid = number(words.nth(2)?)?;
    let sid = number(words.next()?)?;
    // The kernel prints this device number with a sign.
    let tty = number::<i32>(words.next()?)?.cast_unsigned();
    let pfminor = number(words.nth(2)?)?;
    let pfmajor = number(words.nth(1)?)?;
    let start = number(words.nth(9)?)?;
    Some(Stat { comm, pgid, sid, tty, pfminor, pfmajor, start })
}

/// Parses `status`. There the kernel escapes line breaks in the name.
pub(super) fn parse_status(text: &[u8]) -> Status {
    let mut status = Status::default();
    for line in lines(text) {
        let mut words = fields(line);
        let Some(key) = words.next() else { continue };
        let credentials = &mut status.credentials;
        match key {
            b"PPid:" => set(&mut status.ppid, words.next(), number),
            // Real, effective, saved, file system.
            b"Uid:" => set(&mut credentials.euid, words.nth(1), number),
            b"Gid:" => set(&mut credentials.egid, words.nth(1), number),
            b"Groups:" => credentials.groups = words.filter_map(number).collect(),
            // From the pid namespace of /proc to the thread's own.
            b"NSpid:" => {
                let numbers: Vec<&[u8]> = words.collect();
                status.pid_namespaces = numbers.len();
                status.vtid = numbers.last().copied().and_then(number);
            }
            b"NStgid:" => status.vpid = words.last().and_then(number),
            b"NSpgid:" => status.vpgid = words.last().and_then(number),
            b"VmSize:" => set(&mut status.vmsize_kb, words.next(), number),
            b"VmRSS:" => set(&mut status.vmrss_kb, words.next(), number),
            b"VmSwap:" => set(&mut status.vmswap_kb, words.next(), number),
            b"CapInh:" => set(&mut status.cap_inheritable, words.next(), hex),
            b"CapPrm:" => set(&mut status.cap_permitted, words.next(), hex),
            b"CapEff:" => set(&mut credentials.cap_effective, words.next(), hex),
            _ => {}
        }
    }
    status
}

fn set<T>(field: &mut T, word: Option<&[u8]>, parse: impl Fn(&[u8]) -> Option<T>) {
    if let Some(value) = word.and_then(parse) {
        *field = value;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AFTER_NAME: &str = "S 2 -3 4 34816 6 4194560 8 9 10 11 12 13 14 15 20 0 1 0 21 22 23 24";

    fn expected(comm: &[u8]) -> Stat {
        Stat { comm: comm.to_vec(), pgid: -3, sid: 4, tty: 34816, pfminor: 8, pfmajor: 10, start: 21 }
    }

    #[test]
    fn a_name_may_contain_anything() {
        for name in [&b"cat"[..], b"a b", b")", b") S 1 2 (", b"x\ny", b"", b"((", b"\xff\xfe"] {
            let text = [b"1 (", name, b") ", AFTER_NAME.as_bytes(), b"\n"].concat();
            assert_eq!(parse_stat(&text), Some(expected(name)), "{}", name.escape_ascii());
        }
    }

    #[test]
    fn a_long_name_is_cut() {
        let text = format!("17 (kworker/u8:3-events_unbound) {AFTER_NAME}");
        assert_eq!(parse_stat(text.as_bytes()), Some(expected(b"kworker/u8:3-ev")));
    }

    #[test]
    fn a_stat_that_is_cut_short_is_none() {
        let text = format!("1 (cat) {AFTER_NAME}");
        for end in 0..text.find(" 21 22").unwrap() + 1 {
            assert_eq!(parse_stat(&text.as_bytes()[..end]), None, "{}", &text[..end]);
        }
        assert_eq!(parse_stat(b")("), None);
    }

    #[test]
    fn a_status_of_a_process_in_a_container() {
        let text = b"Name:\tx\\nPPid:\t9\nTgid:\t700\nPPid:\t600\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t4 24 \n\
            NStgid:\t700\t30\t3\nNSpid:\t701\t31\t4\nNSpgid:\t650\t20\t2\nNSsid:\t1\t1\t1\nVmSize:\t    2048 kB\n\
            VmRSS:\t     512 kB\nVmSwap:\t      16 kB\nCapInh:\t0000000000000001\nCapPrm:\t000001ffffffffff\n\
            CapEff:\t0000000000000400\nCapBnd:\t000001ffffffffff\n";
        let wanted = Status {
            ppid: 600,
            credentials: Credentials { euid: 2, egid: 6, groups: vec![4, 24], cap_effective: 0x400 },
            pid_namespaces: 3,
            vtid: Some(4),
            vpid: Some(3),
            vpgid: Some(2),
            vmsize_kb: 2048,
            vmrss_kb: 512,
            vmswap_kb: 16,
            cap_inheritable: 1,
            cap_permitted: 0x1ff_ffff_ffff,
        };
        assert_eq!(parse_status(text), wanted);
    }

    #[test]
    fn a_status_of_a_kernel_thread_has_no_memory() {
        let status = parse_status(b"Name:\tkthreadd\nPPid:\t0\nUid:\t0\nVmSize:\n\n:\n");
        assert_eq!(status, Status::default());
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (parse_stat(&text), parse_status(&text));
        }

        #[test]
        fn any_name_comes_back(name in proptest::collection::vec(1_u8.., 0..16)) {
            let text = [b"1 (", name.as_slice(), b") ", AFTER_NAME.as_bytes()].concat();
            prop_assert_eq!(parse_stat(&text), Some(expected(&name[..name.len().min(15)])));
        }

        #[test]
        fn almost_a_stat_is_not_too_much(text in "[0-9]{1,3} \\([a-z() ]{0,9}\\) [-0-9A-Z ]{0,80}") {
            let _ = parse_stat(text.as_bytes());
        }
    }
}
