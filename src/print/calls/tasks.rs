//! Arguments of calls that make and change processes, as forms of `table.rs`.

use super::{args::Args, quote};
use scap::{events::flag_table, format::Value};

/// Two limits; the recorder has 0 for both if there is no structure.
pub fn limit(a: &mut Args<'_, '_>, cur: &str, max: &str, other: Option<(&str, &str)>) {
    let of = |cur, max| Some((a.params.number(cur)?, a.params.number(max)?));
    let other = other.and_then(|(cur, max)| of(cur, max));
    let failed = a.params.result().is_none_or(|res| res < 0);
    match of(cur, max) {
        Some((0, 0)) if other.is_some_and(|other| other != (0, 0)) => a.text("NULL"),
        Some((0, 0)) if other.is_some() => a.unknown(),
        None => a.unknown(),
        Some(_) if failed => a.unknown(),
        Some((cur, max)) => {
            a.text("{rlim_cur=");
            amount(a, cur);
            a.text(", rlim_max=");
            amount(a, max);
            a.text("}");
        }
    }
}

fn amount(a: &mut Args<'_, '_>, v: i64) {
    match v as u64 {
        u64::MAX => a.text("RLIM64_INFINITY"),
        v if v > 1024 && v % 1024 == 0 => a.format(format_args!("{}*1024", v / 1024)),
        v => a.format(format_args!("{v}")),
    }
}

pub fn capabilities(a: &mut Args<'_, '_>, _: usize) {
    a.text("{");
    let mut comma = "";
    for (name, param) in
        [("effective", "cap_effective"), ("permitted", "cap_permitted"), ("inheritable", "cap_inheritable")]
    {
        a.format(format_args!("{comma}{name}="));
        match a.params.number(param) {
            Some(v) => a.hexadecimal(v as u64),
            None => a.unknown(),
        }
        comma = ", ";
    }
    a.text("}");
}

/// The format does not have the signal that the child's end sends, which strace shows among the flags.
pub fn clone(a: &mut Args<'_, '_>, at: usize) {
    a.text("child_stack=..., flags=");
    a.param(at);
}

pub fn clone3(a: &mut Args<'_, '_>, at: usize) {
    a.text("{flags=");
    a.param(at);
    a.text(", ...}");
}

/// The limit of the format for the arguments and for the environment, in bytes.
const MOST_TEXTS: usize = 4096;

pub fn argv(a: &mut Args<'_, '_>, at: usize) {
    let Some(exe) = a.params.text("exe") else { return a.unknown() };
    a.text("[");
    quote::quoted(a.out, exe);
    if let Some(Value::Bytes(args)) = a.params.at(at).map(|(_, d)| d.value) {
        for arg in args.strip_suffix(b"\0").unwrap_or(args).split(|byte| *byte == 0) {
            a.text(", ");
            quote::quoted(a.out, arg);
        }
        a.text(if exe.len() + 1 + args.len() >= MOST_TEXTS { "..." } else { "" });
    }
    a.text("]");
}

pub fn env(a: &mut Args<'_, '_>, at: usize) {
    a.unknown();
    let Some(Value::Bytes(env)) = a.params.at(at).map(|(_, d)| d.value) else { return };
    let vars = env.split_inclusive(|byte| *byte == 0).count();
    let at_least = if env.len() >= MOST_TEXTS { "at least " } else { "" };
    let s = if vars == 1 { "" } else { "s" };
    a.format(format_args!(" /* {at_least}{vars} var{s} */"));
}

pub fn prctl(a: &mut Args<'_, '_>, _: usize) {
    /// These have no further argument.
    const ALONE: [&str; 6] = [
        "PR_GET_DUMPABLE",
        "PR_GET_KEEPCAPS",
        "PR_GET_SECCOMP",
        "PR_GET_SECUREBITS",
        "PR_GET_NO_NEW_PRIVS",
        "PR_GET_THP_DISABLE",
    ];
    /// These answer through a pointer.
    const POINTERS: [&str; 3] = ["PR_GET_NAME", "PR_GET_CHILD_SUBREAPER", "PR_GET_TID_ADDRESS"];
    let option = a.params.number("option").unwrap_or(-1);
    let is_one_of = |names: &[&str]| {
        let table = flag_table("prctl_options");
        table.iter().any(|flag| i64::try_from(flag.value) == Ok(option) && names.contains(&flag.name))
    };
    if let Some(text) = a.params.text("arg2_str") {
        quote::quoted(a.out, text);
    } else if is_one_of(&POINTERS) {
        a.unknown();
    } else if !is_one_of(&ALONE) {
        match a.params.number("arg2_int") {
            // An address, or a number.
            Some(v) if v as u64 >= 4096 => a.hexadecimal(v as u64),
            Some(v) => a.format(format_args!("{v}")),
            None => a.unknown(),
        }
        a.text(", ...");
    }
}
