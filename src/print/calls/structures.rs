//! Structures, sets of signals and directory entries, as only calls without a program of their own have them.

use super::{args::Args, quote, sockets};
use scap::{
    format::{BitSet, Dirents, Received, Structure, Structures},
    model::OpenFd,
    text::kernel_names::signals_of_64,
};

/// Appends the members of a structure; `...` for those that the layout leaves out or the caller did not give.
pub fn structure(a: &mut Args<'_, '_>, structure: &Structure<'_>) {
    let mut before = "{";
    let mut rest = structure.layout.size;
    for (member, (info, decoded)) in structure.layout.members.iter().zip(structure.members()) {
        rest = rest.saturating_sub(member.len);
        for part in [before, info.name, "="] {
            a.text(part);
        }
        before = ", ";
        match decoded {
            Ok(decoded) => a.described(info, &decoded),
            Err(_) => a.unknown(),
        }
    }
    a.text(if before == "{" { "{" } else { "" });
    if rest > 0 {
        a.text(if before == "{" { "" } else { before });
        a.unknown();
    }
    a.text("}");
}

/// Appends several structures.
pub fn structures(a: &mut Args<'_, '_>, all: &Structures<'_>) {
    list(a, all.iter(), |a, one| structure(a, &one));
}

/// Appends the names in a directory.
pub fn dirents(a: &mut Args<'_, '_>, entries: &Dirents<'_>) {
    list(a, entries.iter(), |a, entry| {
        a.text("{d_name=");
        quote::quoted(a.out, entry.name);
        a.text("}");
    });
}

/// Appends a set of small numbers.
pub fn numbers(a: &mut Args<'_, '_>, set: BitSet<'_>) {
    a.text("[");
    for (i, number) in set.iter().enumerate() {
        a.format(format_args!("{}{number}", if i == 0 { "" } else { " " }));
    }
    a.text("]");
}

/// Appends descriptors and what they refer to.
pub fn received(a: &mut Args<'_, '_>, fds: &Received<'_>) {
    list(a, fds.iter(), |a, fd| {
        a.format(format_args!("{}", fd.fd));
        sockets::descriptor(a.out, &OpenFd::described(&fd));
    });
}

/// Appends a set of signals; if it has most of them, those that it does not have.
pub fn signals(a: &mut Args<'_, '_>, set: u64) {
    let is_most = set.count_ones() > u64::BITS / 2;
    a.text(if is_most { "~[" } else { "[" });
    let mut space = "";
    for name in signals_of_64(if is_most { !set } else { set }) {
        a.text(space);
        space = " ";
        a.text(name.trim_start_matches("SIG"));
    }
    a.text("]");
}

fn list<T>(a: &mut Args<'_, '_>, items: impl Iterator<Item = T>, item: impl Fn(&mut Args<'_, '_>, T)) {
    a.text("[");
    for (i, one) in items.enumerate() {
        a.text(if i == 0 { "" } else { ", " });
        item(a, one);
    }
    a.text("]");
}
