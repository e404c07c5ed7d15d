//! The layers of both crates, as ARCHITECTURE.md draws them: a module uses only modules in layers below its own, and the
//! files of a folder do not need each other in a circle.

#![allow(clippy::unwrap_used)]

mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use source::{Named, Source, read, read_crate};

/// The layers of the crate `scapd`, the lowest first.
const SCAPD: &[&[&str]] = &[
    &["balance", "choice", "clocks", "escape", "kernel", "limits", "ring", "units"],
    &["folder", "json", "privileges", "snapshot"],
    &["confine", "print", "probe", "salvage"],
    &["bench", "check", "list", "output", "repair", "verify"],
    &["record"],
    &["signals"],
    &["daemon"],
    &["cli", "exit"],
    &["generate"],
];

/// The layers of the crate `scap`, the lowest first.
const SCAP: &[&[&str]] =
    &[&["events"], &["format"], &["ledger", "select"], &["model"], &["fields"], &["filter"]];

/// What the crate `scap` does without, so that it builds on any system.
const NOT_IN_SCAP: [&str; 8] =
    ["clap", "indicatif", "libbpf-rs", "libbpf-sys", "nix", "procfs", "rustix", "scapd-bpf"];

fn package(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A module that needs another one: where it does, and by which path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Arrow {
    place: String,
    path: String,
    from: String,
    to: String,
}

impl std::fmt::Display for Arrow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} → {} (`{}`)", self.place, self.from, self.to, self.path)
    }
}

/// A crate's modules.
struct Modules {
    sources: Vec<Source>,
    by_name: BTreeMap<Vec<String>, usize>,
}

impl Modules {
    fn of(sources: Vec<Source>) -> Modules {
        let by_name = sources.iter().enumerate().map(|(at, source)| (source.module.clone(), at)).collect();
        Modules { sources, by_name }
    }

    /// Returns the path from the crate's root on; `None` for one into another crate.
    fn absolute(&self, module: &[String], segments: &[String]) -> Option<Vec<String>> {
        let ups = segments.iter().take_while(|segment| *segment == "super").count();
        let start = match segments.first()?.as_str() {
            "crate" => return Some(segments[1..].to_vec()),
            "self" => return Some([module, &segments[1..]].concat()),
            "super" => module.len().checked_sub(ups)?,
            child if self.sources[self.by_name[module]].children.iter().any(|name| name == child) => {
                module.len()
            }
            _ => return None,
        };
        Some([&module[..start], &segments[ups..]].concat())
    }

    /// Returns the module that defines what a path from the root leads to, through imports on the way.
    fn definer(&self, path: &[String], depth: usize) -> Vec<String> {
        let mut module = Vec::new();
        for (at, segment) in path.iter().enumerate() {
            let source = &self.sources[self.by_name[&module]];
            if source.children.contains(segment) {
                module.push(segment.clone());
                continue;
            }
            let imported = source.imports.get(segment).filter(|_| depth < 8);
            if let Some(found) = imported.and_then(|path| self.absolute(&module, path)) {
                let path = [&found[..], &path[at + 1..]].concat();
                return self.definer(&path, depth + 1);
            }
            break;
        }
        module
    }

    /// Returns the arrows between the modules of the crate's root.
    fn layers(&self) -> Vec<Arrow> {
        let mut arrows = Vec::new();
        for (source, named, path) in self.paths() {
            let (Some(from), Some(to)) = (source.module.first(), path.first()) else { continue };
            if from != to && self.by_name.contains_key(&path[..1]) {
                arrows.push(arrow(source, named, from, to));
            }
        }
        arrows
    }

    /// Returns the arrows between the files of each folder; a subfolder counts as one file.
    fn siblings(&self) -> BTreeMap<Vec<String>, Vec<Arrow>> {
        let mut folders: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (source, named, path) in self.paths() {
            let to = self.definer(&path, 0);
            let common = source.module.iter().zip(&to).take_while(|(a, b)| a == b).count();
            if common > 0 && common < source.module.len() && common < to.len() {
                let found = arrow(source, named, &source.module[common], &to[common]);
                folders.entry(to[..common].to_vec()).or_default().push(found);
            }
        }
        folders
    }

    fn paths(&self) -> impl Iterator<Item = (&Source, &Named, Vec<String>)> {
        self.sources.iter().flat_map(move |source| {
            let paths = source.named.iter();
            paths.filter_map(move |named| {
                Some((source, named, self.absolute(&source.module, &named.segments)?))
            })
        })
    }
}

fn arrow(source: &Source, named: &Named, from: &str, to: &str) -> Arrow {
    Arrow {
        place: format!("{}:{}", source.path.display(), named.line),
        path: named.segments.join("::"),
        from: from.to_owned(),
        to: to.to_owned(),
    }
}

/// Returns the arrows that do not lead to a lower layer.
fn wrong(arrows: &[Arrow], layers: &[&[&str]]) -> Vec<String> {
    let layer = |name: &str| layers.iter().position(|layer| layer.contains(&name));
    let is_wrong = |arrow: &&Arrow| match (layer(&arrow.from), layer(&arrow.to)) {
        (Some(from), Some(to)) => to >= from,
        _ => true,
    };
    arrows.iter().filter(is_wrong).map(Arrow::to_string).collect()
}

/// Returns the arrows that are part of a circle.
fn circular(arrows: &[Arrow]) -> Vec<String> {
    let mut reached: BTreeSet<(&str, &str)> = arrows.iter().map(|arrow| (&*arrow.from, &*arrow.to)).collect();
    loop {
        let more: Vec<_> = reached
            .iter()
            .flat_map(|(from, via)| {
                reached.iter().filter(move |(a, _)| a == via).map(move |(_, to)| (*from, *to))
            })
            .filter(|pair| !reached.contains(pair))
            .collect();
        if more.is_empty() {
            break;
        }
        reached.extend(more);
    }
    let is_circular = |arrow: &&Arrow| reached.contains(&(&*arrow.to, &*arrow.from));
    arrows.iter().filter(is_circular).map(Arrow::to_string).collect()
}

fn check(package: &Path, layers: &[&[&str]]) {
    let modules = Modules::of(read_crate(package));
    let mut mistakes = wrong(&modules.layers(), layers);
    for name in &modules.sources[modules.by_name[&Vec::new()]].children {
        if !layers.iter().any(|layer| layer.contains(&&**name)) {
            mistakes.push(format!("the module {name} is in no layer"));
        }
    }
    mistakes.extend(modules.siblings().values().flat_map(|arrows| circular(arrows)));
    assert!(mistakes.is_empty(), "arrows that go up or in a circle:\n{}", mistakes.join("\n"));
}

#[test]
fn scapd() {
    check(&package(""), SCAPD);
}

#[test]
fn scap() {
    check(&package("scap"), SCAP);
}
