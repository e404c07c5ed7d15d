//! Filters of the fields that captures have.

use crate::{
    fields::{Fields, fixture::Capture},
    filter::Filter,
};

/// Returns whether a filter matches the last event.
fn matches(capture: &Capture, text: &str) -> bool {
    let (filter, mut matches) = (Filter::parse(text, &Fields).unwrap(), false);
    capture.replay(|moment| matches = filter.matches(moment));
    matches
}

#[test]
fn filters_take_the_arguments() {
    let mut capture = Capture::new();
    capture.call(70);
    for (text, expected) in [
        ("proc.aname = zsh", true),
        ("proc.aname[1] = zsh", false),
        ("proc.aname[2] = zsh", true),
        ("proc.aname = cc", false),
        ("proc.aenv[NAME] = make", true),
        ("proc.aenv[2] contains 'NAME=zsh'", true),
        ("proc.aenv contains 'NAME=init'", true),
        ("proc.aenv != 'NAME=init EMPTY='", true),
        ("proc.env[NAME] = cc and proc.args[0] = -a", true),
        ("thread.cgroup.cpu = /a and proc.loginshellid exists", true),
        ("proc.pid.ts exists or proc.duration > 0", false),
    ] {
        assert_eq!(matches(&capture, text), expected, "{text}");
    }
}
