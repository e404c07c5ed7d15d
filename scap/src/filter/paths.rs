//! `pmatch`: whether a path is one of some paths, or below one. A component of these may be a shell pattern.

use std::collections::{BTreeSet, HashSet};

use super::glob::Glob;

/// Paths that other paths can be below.
#[derive(Debug, Clone, Default)]
pub(super) struct Paths {
    /// The root is one of them: every path is below it.
    any: bool,
    /// Components with a slash between, none in front.
    plain: HashSet<Box<[u8]>, foldhash::fast::FixedState>,
    /// The lengths of those in `plain`, each once: only as long starts of a path are looked up.
    lengths: BTreeSet<usize>,
    patterns: Vec<Box<[Glob]>>,
}

impl Paths {
    pub(super) fn new<'a>(paths: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut all = Self::default();
        for path in paths {
            let components: Vec<&[u8]> = components(path).collect();
            if components.is_empty() {
                all.any = true;
            } else if components.iter().any(|component| is_pattern(component)) {
                let globs = components.iter().map(|component| Glob::new(component, false));
                all.patterns.push(globs.collect());
            } else {
                let plain = components.join(&b'/');
                all.lengths.insert(plain.len());
                all.plain.insert(plain.into());
            }
        }
        all
    }

    /// Returns whether the path is one of these or below one.
    pub(super) fn matches(&self, path: &[u8]) -> bool {
        self.any || self.is_below_plain(path) || self.patterns.iter().any(|globs| is_below(globs, path))
    }

    fn is_below_plain(&self, path: &[u8]) -> bool {
        if self.plain.is_empty() {
            return false;
        }
        let path = path.strip_prefix(b"/").unwrap_or(path);
        if path.starts_with(b"/") || memchr::memmem::find(path, b"//").is_some() {
            let components: Vec<&[u8]> = components(path).collect();
            return self.has_prefix_of(&components.join(&b'/'));
        }
        self.has_prefix_of(path)
    }

    fn has_prefix_of(&self, path: &[u8]) -> bool {
        let is_end = |length: usize| path.get(length).is_none_or(|byte| *byte == b'/');
        let lengths = self.lengths.iter().take_while(|length| **length <= path.len());
        lengths.copied().any(|length| is_end(length) && self.plain.contains(&path[..length]))
    }
}

/// Returns a path as an absolute one without doubled slashes; `None` for the root, and if a component may be a pattern.
pub(super) fn plain(path: &[u8]) -> Option<Vec<u8>> {
    let plain: Vec<u8> = components(path).flat_map(|component| [b"/", component].concat()).collect();
    (!plain.is_empty() && !is_pattern(path)).then_some(plain)
}

fn is_pattern(component: &[u8]) -> bool {
    component.iter().any(|byte| b"?*[".contains(byte))
}

fn is_below(globs: &[Glob], path: &[u8]) -> bool {
    let mut components = components(path);
    globs.iter().all(|glob| components.next().is_some_and(|component| glob.matches(component)))
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|component| !component.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(paths: &[&str], path: &str) -> bool {
        Paths::new(paths.iter().map(|path| path.as_bytes())).matches(path.as_bytes())
    }

    #[test]
    fn a_path_matches_at_and_below_another() {
        let paths = ["/var/run", "/etc/", "usr"];
        for path in [
            "/var/run",
            "/var/run/x",
            "/etc/passwd",
            "//etc//passwd",
            "//etc/passwd",
            "etc",
            "/usr",
            "/var//run/",
            "/etc/",
        ] {
            assert!(matches(&paths, path), "{path}");
        }
        for path in ["/var", "/var/running", "/", "", "/x/etc", "/etcetera"] {
            assert!(!matches(&paths, path), "{path}");
        }
        assert!(matches(&["/"], "/x") && matches(&["/"], "") && matches(&[""], "/x"));
        assert!(!matches(&[], "/x"));
    }

    #[test]
    fn components_can_be_patterns() {
        assert!(matches(&["/proc/*/fd", "/x"], "/proc/12/fd/3"));
        assert!(!matches(&["/proc/*/fd"], "/proc/12/task/13/fd"));
        assert!(!matches(&["/proc/*"], "/proc"));
        assert!(matches(&["/[ab]c?"], "/acx/y") && !matches(&["/[ab]c?"], "/ac"));
    }

    #[test]
    fn a_deep_path_takes_neither_stack_nor_time() {
        let deep = "/a".repeat(100_000);
        assert!(matches(&[&deep], &deep) && !matches(&[&deep], "/a"));
        let deep = "/*".repeat(100_000);
        assert!(matches(&[&deep], &deep));
    }
}
