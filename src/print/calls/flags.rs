//! The names of flags, as C programs spell them and in strace's order.

use std::{collections::HashMap, fmt::Write, sync::LazyLock};

use scap::events::{FlagTable, flag_tables};

/// What strace prints in another order than that of the table: these come first, in this order. A `+` joins flags that the
/// first one includes: they are not named beside it.
const ORDER: &[(&str, &str)] = &[
    (
        "file_flags",
        "O_RDWR O_WRONLY O_RDONLY O_CREAT O_EXCL O_TRUNC O_APPEND O_NONBLOCK O_SYNC+O_DSYNC O_DSYNC O_DIRECT \
         O_LARGEFILE O_CLOEXEC O_TMPFILE+O_DIRECTORY O_DIRECTORY",
    ),
    (
        "open_flags",
        "O_CREAT O_EXCL O_NOCTTY O_TRUNC O_APPEND O_NONBLOCK O_SYNC+O_DSYNC O_DSYNC __O_SYNC O_DIRECT O_LARGEFILE O_NOFOLLOW O_NOATIME \
         O_CLOEXEC O_PATH O_TMPFILE+O_DIRECTORY O_DIRECTORY O_ASYNC",
    ),
    (
        "clone_flags",
        "CLONE_VM CLONE_FS CLONE_FILES CLONE_SIGHAND CLONE_PTRACE CLONE_VFORK CLONE_PARENT CLONE_THREAD CLONE_NEWNS \
         CLONE_SYSVSEM CLONE_SETTLS CLONE_PARENT_SETTID CLONE_CHILD_CLEARTID CLONE_UNTRACED CLONE_CHILD_SETTID \
         CLONE_NEWCGROUP CLONE_NEWUTS CLONE_NEWIPC CLONE_NEWUSER CLONE_NEWPID CLONE_NEWNET CLONE_IO",
    ),
    (
        "mmap_flags",
        "MAP_SHARED MAP_PRIVATE MAP_FIXED MAP_ANONYMOUS MAP_32BIT MAP_GROWSDOWN MAP_DENYWRITE MAP_EXECUTABLE MAP_LOCKED MAP_NORESERVE MAP_POPULATE MAP_NONBLOCK",
    ),
    ("access_flags", "R_OK W_OK X_OK F_OK"),
    ("flock_flags", "LOCK_SH LOCK_EX LOCK_UN LOCK_NB"),
    ("semget_flags", "IPC_CREAT IPC_EXCL"),
    ("newfstatat_flags", "AT_SYMLINK_NOFOLLOW AT_NO_AUTOMOUNT AT_EMPTY_PATH"),
];

/// Flags that the recorder adds to those of the call.
const ADDED: [&str; 9] = [
    "O_F_CREATED",
    "FD_UPPER_LAYER",
    "FD_LOWER_LAYER",
    "FD_UPPER_LAYER_CREAT",
    "FD_LOWER_LAYER_CREAT",
    "CLONE_INVERTED",
    "NAME_CHANGED",
    "CLOSED",
    "CLONE_CHILD_IN_PIDNS",
];

/// Names for 0 that no call takes.
const NO_NAMES: [&str; 3] = ["O_NONE", "LOCK_NONE", "UNKNOWN"];

/// Names that the table has without their prefix.
const PREFIXES: [(&str, &str); 2] = [("mount_flags", "MS_"), ("umount_flags", "MNT_")];

/// Names that differ otherwise.
const RENAMED: [(&str, &str, &str); 1] = [("umount_flags", "NOFOLLOW", "UMOUNT_NOFOLLOW")];

/// The names of a table.
#[derive(Debug)]
struct Names {
    /// The bits that decide, the bits that the name stands for, and the name.
    rows: Vec<(u64, u64, String)>,
    zero: Option<&'static str>,
    ignored: u64,
}

static NAMES: LazyLock<HashMap<&'static str, Names>> = LazyLock::new(|| {
    let named = flag_tables().filter_map(|table| Some((table.first()?.table, table)));
    named.map(|(name, table)| (name, Names::of(name, table))).collect()
});

impl Names {
    fn of(table_name: &str, table: FlagTable) -> Names {
        let value = |name: &str| table.iter().find(|flag| flag.name == name).map_or(0, |flag| flag.value);
        let is_flag = |name: &str| !ADDED.contains(&name) && !NO_NAMES.contains(&name);
        let ordered = ORDER.iter().find(|(name, _)| *name == table_name).map_or("", |(_, order)| order);
        let mut rows: Vec<(u64, u64, String)> = Vec::new();
        let others = table.iter().map(|flag| flag.name).filter(|name| is_flag(name));
        for word in ordered.split_whitespace().chain(others) {
            let mut parts = word.split('+');
            let name = parts.next().unwrap_or_default();
            let own = value(name);
            let spelled = spelled(table_name, name);
            if own != 0 && !rows.iter().any(|(_, _, known)| *known == spelled) {
                rows.push((own, parts.fold(own, |bits, part| bits | value(part)), spelled));
            }
        }
        Names {
            rows,
            zero: table.iter().find(|flag| flag.value == 0 && is_flag(flag.name)).map(|flag| flag.name),
            ignored: ADDED.iter().fold(0, |bits, name| bits | value(name)),
        }
    }
}

fn spelled(table: &str, name: &str) -> String {
    if let Some((_, _, other)) = RENAMED.iter().find(|(of, from, _)| *of == table && *from == name) {
        return (*other).to_owned();
    }
    let prefix = PREFIXES.iter().find(|(of, _)| *of == table).map_or("", |(_, prefix)| prefix);
    format!("{prefix}{name}")
}

/// Appends flags of open in the kernel's encoding, where the way of access is a number.
pub fn open(out: &mut String, table: FlagTable, value: u64) {
    const ACCESS: u64 = 3;
    out.push_str(["O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"][(value & ACCESS) as usize]);
    if value & !ACCESS != 0 {
        out.push('|');
        flags(out, table, value & !ACCESS, None);
    }
}

/// Appends a set of flags. `prefix` replaces the `O_` of the names.
pub fn flags(out: &mut String, table: FlagTable, value: u64, prefix: Option<&str>) {
    let Some(names) = table.first().and_then(|flag| NAMES.get(flag.table)) else {
        return hexadecimal(out, value);
    };
    let mut left = value & !names.ignored;
    if left == 0 {
        return out.push_str(names.zero.unwrap_or("0"));
    }
    let mut bar = "";
    for (bits, covered, name) in &names.rows {
        if left & bits == *bits {
            left &= !covered;
            out.push_str(bar);
            bar = "|";
            match (prefix, name.strip_prefix("O_")) {
                (Some(prefix), Some(rest)) => out.extend([prefix, rest]),
                _ => out.push_str(name),
            }
        }
    }
    if left != 0 {
        out.push_str(bar);
        hexadecimal(out, left);
    }
}

/// Appends one value of several; `...` if the recorder did not know it.
pub fn enumerated(out: &mut String, table: FlagTable, value: u64) {
    // If there are two names, the common one comes last: AF_UNIX, AF_NETLINK.
    match table.iter().rfind(|flag| flag.value == value).map(|flag| flag.name) {
        Some(name) if name == "UNKNOWN" || name.ends_with("_UNKNOWN") => out.push_str("..."),
        Some(name) => out.push_str(name),
        None => hexadecimal(out, value),
    }
}

fn hexadecimal(out: &mut String, value: u64) {
    // Writing to a string cannot fail.
    let _ = if value == 0 { write!(out, "0") } else { write!(out, "{value:#x}") };
}

#[cfg(test)]
mod tests {
    use super::*;
    use scap::{
        events::{Detail, flag_table, rows},
        model::flag,
    };

    fn text(table: &str, value: u64) -> String {
        let mut out = String::new();
        flags(&mut out, flag_table(table), value, None);
        out
    }

    #[test]
    fn flags_have_straces_order() {
        let open = |names: &[&'static str]| {
            let value = names.iter().fold(0, |bits, name| {
                bits | flag_table("file_flags").iter().find(|flag| flag.name == *name).unwrap().value
            });
            text("file_flags", value)
        };
        assert_eq!(open(&["O_CLOEXEC", "O_DIRECTORY", "O_RDONLY"]), "O_RDONLY|O_CLOEXEC|O_DIRECTORY");
        assert_eq!(open(&["O_TMPFILE", "O_DIRECTORY", "O_RDWR"]), "O_RDWR|O_TMPFILE");
        assert_eq!(open(&["O_SYNC", "O_DSYNC", "O_WRONLY", "O_F_CREATED"]), "O_WRONLY|O_SYNC");
        assert_eq!(open(&["O_NONE"]), "0");
        assert_eq!(text("mount_flags", 3), "MS_RDONLY|MS_NOSUID");
        assert_eq!(text("umount_flags", 10), "MNT_DETACH|UMOUNT_NOFOLLOW");
        assert_eq!(text("prot_flags", 0), "PROT_NONE");
        assert_eq!(text("access_flags", 0), "F_OK");
        assert_eq!(text("flock_flags", flag("flock_flags", "LOCK_NB").into()), "LOCK_NB");
        assert_eq!(text("poll_flags", 5), "POLLIN|POLLOUT");
        assert_eq!(text("renameat2_flags", 0x81), "RENAME_NOREPLACE|0x80");
    }

    #[test]
    fn the_way_of_access_comes_first() {
        let text = |value: u64| {
            let mut out = String::new();
            open(&mut out, flag_table("open_flags"), value);
            out
        };
        assert_eq!(text(0), "O_RDONLY");
        assert_eq!(text(0o102), "O_RDWR|O_CREAT");
        assert_eq!(text(0x10_3801), "O_WRONLY|O_NONBLOCK|O_SYNC|O_ASYNC");
        assert_eq!(text(0x10_0001), "O_WRONLY|__O_SYNC");
        assert_eq!(text(0x22_0003), "O_ACCMODE|O_NOFOLLOW|O_PATH");
        assert_eq!(text(0x8041_0000), "O_RDONLY|O_TMPFILE|0x80000000");
    }

    /// What the recorder adds to the flags of a call is not shown.
    #[test]
    fn flags_are_those_of_the_call() {
        let flags = ["CLONE_CHILD_IN_PIDNS", "CLONE_FS"].map(|name| u64::from(flag("clone_flags", name)));
        assert_eq!(text("clone_flags", flags[0] | flags[1]), "CLONE_FS");
    }

    /// Some tables are only those of members of structures.
    #[test]
    fn all_tables_have_names() {
        assert_eq!(text("sigaction_flags", 0x1400_0000), "SA_RESTORER|SA_RESTART");
        assert_eq!(text("landlock_access_net", 1), "LANDLOCK_ACCESS_NET_BIND_TCP");
        // An architecture is a number beside the flags.
        assert_eq!(text("kexec_load_flags", 0x2a_0001), "KEXEC_ON_CRASH|KEXEC_ARCH_SH");
        assert!(flag_tables().all(|table| NAMES.contains_key(table[0].table)));
    }

    /// A wrong name in a list above would do nothing.
    #[test]
    fn names_are_those_of_the_tables() {
        for (table, order) in ORDER {
            for name in order.split([' ', '+']) {
                assert!(flag_table(table).iter().any(|flag| flag.name == name), "{table}: {name}");
            }
        }
        let has = |name: &str| {
            rows().flat_map(|row| row.params).any(|param| match param.detail {
                Detail::Flags(table) => table.iter().any(|flag| flag.name == name),
                _ => false,
            })
        };
        ADDED.iter().chain(&NO_NAMES).for_each(|name| assert!(has(name), "{name}"));
        for (table, name, _) in RENAMED {
            assert!(flag_table(table).iter().any(|flag| flag.name == name));
        }
    }
}
