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
    &["balance", "bar", "choice", "clocks", "escape", "kernel", "limits", "ring", "units"],
    &["folder", "json", "privileges", "snapshot"],
    &["confine", "print", "probe", "salvage"],
    &["bench", "check", "containers", "list", "output", "repair", "top", "verify"],
    &["flight"],
    &["read", "record"],
    &["export", "merge", "report"],
    &["ship", "signals", "trace"],
    &["daemon"],
    &["cli", "exit"],
    &["generate"],
];

/// The layers of the crate `scap`, the lowest first.
const SCAP: &[&[&str]] = &[
    &["events", "hash"],
    &["format"],
    &["container", "redact", "select"],
    &["ledger"],
    &["model"],
    &["replay"],
    &["text"],
    &["fields", "merge", "slice"],
    &["filter"],
    &["formatter", "summary"],
];

/// Crates that only some modules of `scapd` use.
const ONLY: [(&str, &[&str]); 14] = [
    ("clap", &["cli", "generate"]),
    ("clap_complete", &["generate"]),
    ("clap_mangen", &["generate"]),
    ("inferno", &["export"]),
    ("libbpf_rs", &["probe"]),
    ("libbpf_sys", &["confine", "probe"]),
    ("object_store", &["ship"]),
    ("parquet", &["export"]),
    ("prost", &["containers", "export"]),
    ("rustls", &["ship"]),
    ("tokio", &["containers", "ship"]),
    ("tonic", &["containers"]),
    ("hyper", &["containers"]),
    ("scapd_bpf", &["probe"]),
];

/// Wrong arrows that are still there in the crate `scap`: from, to, and the reason.
const KNOWN_IN_SCAP: [(&str, &str, &str); 16] = [
    ("params", "table", "the rows of one table"),
    ("table", "params", "the rows of one table"),
    ("syscalls", "table", "the rows of one table"),
    ("table", "syscalls", "the rows of one table"),
    ("extensions", "table", "the rows of one table"),
    ("table", "extensions", "the rows of one table"),
    ("extensions", "params", "the rows of one table"),
    ("extensions", "syscalls", "the rows of one table"),
    ("extensions", "layouts", "the rows of one table"),
    ("layouts", "table", "the rows of one table"),
    ("table", "layouts", "the rows of one table"),
    ("layouts", "params", "the rows of one table"),
    ("ahead", "reader", "one state, read on in two files"),
    ("reader", "ahead", "one state, read on in two files"),
    ("structure", "value", "a structure's members are values, and a value can be a structure"),
    ("value", "structure", "a structure's members are values, and a value can be a structure"),
];

/// The same in `scapd`.
const KNOWN_IN_SCAPD: [(&str, &str, &str); 2] = [
    ("args", "structures", "a structure's members are written as arguments are"),
    ("structures", "args", "a structure's members are written as arguments are"),
];

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
fn wrong(arrows: &[Arrow], layers: &[&[&str]]) -> Vec<Arrow> {
    let layer = |name: &str| layers.iter().position(|layer| layer.contains(&name));
    let is_wrong = |arrow: &&Arrow| match (layer(&arrow.from), layer(&arrow.to)) {
        (Some(from), Some(to)) => to >= from,
        _ => true,
    };
    arrows.iter().filter(is_wrong).cloned().collect()
}

/// Returns the arrows that are part of a circle.
fn circular(arrows: &[Arrow]) -> Vec<Arrow> {
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
    arrows.iter().filter(is_circular).cloned().collect()
}

/// Checks the arrows of a crate: between its layers, and between the files of each folder.
fn check(package: &Path, layers: &[&[&str]], known: &[(&str, &str, &str)]) {
    let modules = Modules::of(read_crate(package));
    let mut mistakes = wrong(&modules.layers(), layers);
    mistakes.extend(modules.siblings().values().flat_map(|arrows| circular(arrows)));
    let is_known =
        |mistake: &Arrow, known: &(&str, &str, &str)| mistake.from == known.0 && mistake.to == known.1;
    let gone = known.iter().filter(|known| !mistakes.iter().any(|mistake| is_known(mistake, known)));
    let gone: Vec<_> =
        gone.map(|(from, to, _)| format!("{from} → {to} is gone: remove it from the list")).collect();
    let mut said: Vec<_> = mistakes
        .iter()
        .filter(|mistake| !known.iter().any(|known| is_known(mistake, known)))
        .map(|arrow| format!("{arrow} goes up, or in a circle"))
        .chain(gone)
        .collect();
    let there = &modules.sources[modules.by_name[&Vec::new()]].children;
    let listed: Vec<_> = layers.iter().flat_map(|layer| layer.iter()).collect();
    said.extend(
        there
            .iter()
            .filter(|name| !listed.contains(&&name.as_str()))
            .map(|name| format!("{name} has no layer")),
    );
    assert!(said.is_empty(), "\n{}", said.join("\n"));
}

#[test]
fn scapd() {
    check(&package(""), SCAPD, &KNOWN_IN_SCAPD);
}

#[test]
fn scap() {
    check(&package("scap"), SCAP, &KNOWN_IN_SCAP);
}

#[test]
fn only_some_modules_use_some_crates() {
    let mut wrong = Vec::new();
    for source in read_crate(&package("")) {
        for named in &source.named {
            let only = ONLY.iter().find(|(name, _)| *name == named.segments[0]).map(|(_, modules)| *modules);
            let module = source.module.first().map_or("lib", String::as_str);
            if only.is_some_and(|modules| !modules.contains(&module)) {
                wrong.push(format!(
                    "{}:{}: {}",
                    source.path.display(),
                    named.line,
                    named.segments.join("::")
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_captures_need_no_kernel_and_no_command_line() {
    let read = |path: &str| fs::read_to_string(package(path)).unwrap().parse::<toml::Table>().unwrap();
    let (manifest, lock) = (read("scap/Cargo.toml"), read("Cargo.lock"));
    let optional = |spec: &toml::Value| spec.get("optional").and_then(toml::Value::as_bool) == Some(true);
    let mut waiting: Vec<String> = ["dependencies", "build-dependencies"]
        .iter()
        .filter_map(|kind| manifest.get(*kind)?.as_table())
        .flat_map(|crates| crates.iter().filter(|(_, spec)| !optional(spec)).map(|(name, _)| name.clone()))
        .collect();
    assert!(waiting.contains(&"flate2".to_owned()) && !manifest.contains_key("target"), "{waiting:?}");
    let mut all = BTreeSet::new();
    while let Some(name) = waiting.pop() {
        if !all.insert(name.clone()) {
            continue;
        }
        let packages = lock["package"].as_array().unwrap().iter();
        for package in packages.filter(|package| package["name"].as_str() == Some(&name)) {
            let needs = package.get("dependencies").and_then(toml::Value::as_array);
            let needs = needs.into_iter().flatten().filter_map(toml::Value::as_str);
            waiting.extend(needs.map(|need| need.split(' ').next().unwrap().to_owned()));
        }
    }
    let wrong: Vec<_> = NOT_IN_SCAP.iter().filter(|name| all.contains(**name)).collect();
    assert!(wrong.is_empty(), "the crate scap depends on {wrong:?}");
}

#[test]
fn the_drawings_are_these_layers() {
    let page = fs::read_to_string(package("ARCHITECTURE.md")).unwrap();
    for layers in [SCAPD, SCAP] {
        let rows: Vec<_> = layers.iter().rev().map(|layer| layer.join("  ")).collect();
        let drawing = format!("```\n{}\n```\n", rows.join("\n"));
        assert!(page.contains(&drawing), "ARCHITECTURE.md lacks this drawing:\n{drawing}");
    }
}

/// Returns the modules of a crate whose files have these texts.
fn modules(files: &[(&str, &str)]) -> Modules {
    let sources = files.iter().map(|(name, text)| {
        let module = name.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        read(PathBuf::from(name), module, text)
    });
    Modules::of(sources.collect())
}

#[test]
fn an_arrow_upwards_is_found_with_its_line() {
    let found = modules(&[
        ("", "pub mod low;\npub mod high;"),
        (
            "low",
            "// crate::high::Comment\nconst S: &str = \"crate::high\";\nuse crate::{\n    high::Thing,\n};\n#[cfg(test)]\nmod tests {\n    use crate::high::Test;\n}",
        ),
        ("high", "fn f() { crate::low::g::<crate::low::T>() }"),
    ]);
    let layers: &[&[&str]] = &[&["low"], &["high"]];
    let wrong: Vec<_> = wrong(&found.layers(), layers).iter().map(Arrow::to_string).collect();
    assert_eq!(wrong, ["low:4: low → high (`crate::high::Thing`)"]);
}

#[test]
fn a_circle_of_files_is_found_through_what_their_folder_exports() {
    let found = modules(&[
        ("", "mod folder;"),
        ("folder", "mod a;\nmod b;\nmod c;\npub use a::Thing as Renamed;"),
        ("folder/a", "use super::{c, b::*};\npub struct Thing;"),
        ("folder/b", "fn f(_: super::Renamed) {}"),
        ("folder/c", "fn f<'a>(_: char) -> char { '\\'' }"),
    ]);
    let siblings = found.siblings();
    let said: Vec<_> = circular(&siblings[&vec!["folder".to_owned()]]).iter().map(Arrow::to_string).collect();
    assert_eq!(said, ["folder/a:1: a → b (`super::b::*`)", "folder/b:1: b → a (`super::Renamed`)"]);
}
