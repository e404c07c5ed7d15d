//! Fields of the paths that calls take.
//!
//! Where the values differ from those of sysdig 0.41, and why:
//!
//! | field | here | sysdig 0.41 |
//! |-|-|-|
//! | `fs.path.name` of a file that could not be opened | always there | missing if the error is EPERM (-1), `<UNKNOWN>` if the path is relative |
//! | `fs.path.target` of a symbolic link | relative to the link's directory, as the kernel resolves it | relative to the working directory, or `<UNKNOWN>` |
//! | all, and `evt.abspath`, relative to an unknown directory | no value | `<UNKNOWN>` and the path |

use std::borrow::Cow;

use super::{
    Argument, Key, Type, Value,
    row::Row,
    types::{self, ByType, exit, is_of},
};
use crate::{
    events::{Detail, Event, ParamType},
    format::Value as Parameter,
    replay::Moment,
};

pub(super) const ROWS: &[Row] = &[
    Row::keyed(
        "evt.abspath",
        Type::Text,
        Argument::OptionalName,
        "absolute path that a call takes; evt.abspath.dst: the second one, as of renameat",
        |m, key| {
            let paths = ABSOLUTE.of(m)?;
            let second = matches!(key, Some(Key::Name(name)) if **name == *"dst");
            resolved(m, *if second { paths.last() } else { paths.first() }?)
        },
    )
    .names(|| vec!["src", "dst"])
    .of_type_at(|row, _| ABSOLUTE.of_row(row).is_some_and(Vec::is_empty)),
    Row::one("fs.path.name", Type::Text, "absolute path that a call takes", |m| path(m, |paths| paths.name))
        .of_type_at(|row, _| lacks(row, |paths| paths.name)),
    Row::one("fs.path.nameraw", Type::Text, "path that a call takes, as given", |m| {
        raw(m, |paths| paths.name)
    })
    .of_type_at(|row, _| lacks(row, |paths| paths.name)),
    Row::one("fs.path.source", Type::Text, "absolute path that is renamed, linked or mounted", |m| {
        path(m, |paths| paths.source)
    })
    .of_type_at(|row, _| lacks(row, |paths| paths.source)),
    Row::one("fs.path.sourceraw", Type::Text, "path that is renamed, linked or mounted, as given", |m| {
        raw(m, |paths| paths.source)
    })
    .of_type_at(|row, _| lacks(row, |paths| paths.source)),
    Row::one(
        "fs.path.target",
        Type::Text,
        "absolute path that something is renamed, linked or mounted to",
        |m| path(m, |paths| paths.target),
    )
    .of_type_at(|row, _| lacks(row, |paths| paths.target)),
    Row::one(
        "fs.path.targetraw",
        Type::Text,
        "path that something is renamed, linked or mounted to, as given",
        |m| raw(m, |paths| paths.target),
    )
    .of_type_at(|row, _| lacks(row, |paths| paths.target)),
];

/// The calls that take a path, and its parameter. An `fd` is a path that is known by its descriptor.
const NAME: &[(&str, &str)] = &[
    ("chmod", "filename"),
    ("chown", "path"),
    ("fchmod", "fd"),
    ("fchmodat", "filename"),
    ("fchown", "fd"),
    ("fchownat", "pathname"),
    ("lchown", "path"),
    ("mkdir", "path"),
    ("mkdirat", "path"),
    ("open", "name"),
    ("openat", "name"),
    ("openat2", "name"),
    ("quotactl", "special"),
    ("rmdir", "path"),
    ("umount", "name"),
    ("umount2", "name"),
    ("unlink", "path"),
    ("unlinkat", "name"),
];

/// The calls that take two paths: source and target. As in sysdig, the source of a link is the new name.
const SOURCE_AND_TARGET: &[(&str, &str, &str)] = &[
    ("link", "newpath", "oldpath"),
    ("linkat", "newpath", "oldpath"),
    ("mount", "dev", "dir"),
    ("rename", "oldpath", "newpath"),
    ("renameat", "oldpath", "newpath"),
    ("renameat2", "oldpath", "newpath"),
    ("symlink", "linkpath", "target"),
    ("symlinkat", "linkpath", "target"),
];

/// The calls that take paths relative to a descriptor, and those paths.
const AT: &[(&str, &[&str])] = &[
    ("fchmodat", &["filename"]),
    ("fchownat", &["pathname"]),
    ("linkat", &["oldpath", "newpath"]),
    ("mkdirat", &["path"]),
    ("open_by_handle_at", &["path"]),
    ("openat", &["name"]),
    ("openat2", &["name"]),
    ("renameat", &["oldpath", "newpath"]),
    ("renameat2", &["oldpath", "newpath"]),
    ("symlinkat", &["linkpath"]),
    ("unlinkat", &["name"]),
];

/// The parameters of a call that are paths.
#[derive(Debug, Clone, Copy, Default)]
struct Paths {
    /// Whether they are of interest only if the call succeeds.
    only_done: bool,
    name: Option<Path>,
    source: Option<Path>,
    target: Option<Path>,
}

/// The parameter with a path.
#[derive(Debug, Clone, Copy)]
enum Path {
    /// Relative to the working directory.
    Cwd(usize),
    /// Relative to the descriptor in the second parameter.
    At(usize, usize),
    /// Relative to the directory of another path.
    Beside(usize, usize),
    /// That of a descriptor.
    Fd(usize),
}

impl Path {
    fn of(row: &Event, name: &str) -> Option<Path> {
        let index = row.param(name)?;
        Some(match name {
            "fd" => Path::Fd(index),
            "target" => Path::Beside(index, row.param("linkpath")?),
            _ => Path::at(row, index),
        })
    }

    /// Returns the path in a parameter, relative to what its row says.
    fn at(row: &Event, index: usize) -> Path {
        match row.params.get(index).map(|param| param.detail) {
            Some(Detail::DirFd(dir)) => Path::At(index, dir.into()),
            _ => Path::Cwd(index),
        }
    }

    fn index(self) -> usize {
        match self {
            Path::Cwd(index) | Path::At(index, _) | Path::Beside(index, _) | Path::Fd(index) => index,
        }
    }
}

static PATHS: ByType<Paths> = ByType::new(|| {
    types::rows(|row| {
        if let Some((call, name)) = NAME.iter().find(|(call, _)| is_of(row, exit(call))) {
            let only_done = !call.starts_with("open");
            return Paths { only_done, name: Path::of(row, name), ..Paths::default() };
        }
        let is_one = |(call, ..): &&(&str, &str, &str)| is_of(row, exit(call));
        if let Some((_, source, target)) = SOURCE_AND_TARGET.iter().find(is_one) {
            let (source, target) = (Path::of(row, source), Path::of(row, target));
            return Paths { only_done: true, name: None, source, target };
        }
        match own_paths(row)[..] {
            [name] => Paths { name: Some(name), ..Paths::default() },
            [source, target] => Paths { source: Some(source), target: Some(target), ..Paths::default() },
            _ => Paths::default(),
        }
    })
});

static ABSOLUTE: ByType<Vec<Path>> = ByType::new(|| {
    types::rows(|row| match AT.iter().find(|(call, _)| is_of(row, exit(call))) {
        Some((_, names)) => names.iter().filter_map(|name| Path::of(row, name)).collect(),
        None => own_paths(row).into_iter().filter(|path| matches!(path, Path::At(..))).collect(),
    })
});

/// Returns the paths of the return of a call that has no program of its own: those are in its extension alone.
fn own_paths(row: &Event) -> Vec<Path> {
    let is_path = |index: &usize| row.params[*index].ty == ParamType::FSPATH;
    let is_return = row.ty.is_generic() && !row.ty.is_enter();
    (0..row.params.len()).filter(|index| is_return && is_path(index)).map(|i| Path::at(row, i)).collect()
}

/// Returns whether events of a row have no such path.
fn lacks(row: &Event, which: fn(&Paths) -> Option<Path>) -> bool {
    PATHS.of_row(row).is_some_and(|paths| which(paths).is_none())
}

/// A parameter of which a field has the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TextParam {
    pub index: usize,
    /// The field has the absolute path: of a path from the root without doubled slashes, `.` and `..`, the same.
    pub is_path: bool,
    /// The field is there only if the result of the call is 0.
    pub only_done: bool,
}

/// Returns the parameter of which one of these fields has the text, at all events of a row where it has one.
pub(super) fn text_param(field: &str, key: Option<&Key>, row: &Event) -> Option<TextParam> {
    if field == "evt.abspath" {
        let paths = ABSOLUTE.of_row(row)?;
        let second = matches!(key, Some(Key::Name(name)) if **name == *"dst");
        let index = if second { paths.last() } else { paths.first() }?.index();
        return Some(TextParam { index, is_path: true, only_done: false });
    }
    let paths = PATHS.of_row(row)?;
    let (path, is_path) = match field {
        "fs.path.name" => (paths.name, true),
        "fs.path.nameraw" => (paths.name, false),
        "fs.path.source" => (paths.source, true),
        "fs.path.sourceraw" => (paths.source, false),
        "fs.path.target" => (paths.target, true),
        "fs.path.targetraw" => (paths.target, false),
        _ => return None,
    };
    // A path beside another one is there only if that one is.
    let is_own = |path: &Path| match path {
        Path::Cwd(_) | Path::At(..) => true,
        Path::Beside(..) => !is_path,
        Path::Fd(_) => false,
    };
    let index = path.filter(is_own)?.index();
    Some(TextParam { index, is_path, only_done: paths.only_done })
}

/// Returns a path of a call whose result makes it of interest.
fn wanted(m: &Moment<'_>, which: fn(&Paths) -> Option<Path>) -> Option<Path> {
    let paths = PATHS.of(m)?;
    which(paths).filter(|_| !paths.only_done || types::result(m) == Some(0))
}

fn raw<'a>(m: &'a Moment<'a>, which: fn(&Paths) -> Option<Path>) -> Option<Value<'a>> {
    given(m, wanted(m, which)?).map(Value::text)
}

fn path<'a>(m: &'a Moment<'a>, which: fn(&Paths) -> Option<Path>) -> Option<Value<'a>> {
    resolved(m, wanted(m, which)?)
}

/// Returns a path as it was given.
fn given<'a>(m: &'a Moment<'a>, path: Path) -> Option<&'a [u8]> {
    match m.event().param_value(path.index())? {
        Parameter::Text(text) => Some(text),
        Parameter::Fd(fd) => Some(&m.machine.fd(m.event().tid(), fd)?.name),
        _ => None,
    }
}

/// Returns a path made absolute.
fn resolved<'a>(m: &'a Moment<'a>, path: Path) -> Option<Value<'a>> {
    let text = given(m, path)?;
    if text.is_empty() {
        return None;
    }
    let within = |dirfd, text: &[u8]| m.machine.absolute(m.event(), dirfd, text);
    let absolute = match path {
        Path::Fd(_) => return Some(Value::text(text)),
        Path::Cwd(_) => within(None, text)?,
        Path::At(_, dir) => within(dirfd(m, dir), text)?,
        Path::Beside(_, link) => {
            let Some(Value::Text(link)) = resolved(m, Path::at(m.event().info()?, link)) else { return None };
            let directory = link.iter().rposition(|byte| *byte == b'/').map(|end| &link[..=end])?;
            within(None, &if text.starts_with(b"/") { text.to_vec() } else { [directory, text].concat() })?
        }
    };
    Some(Value::Text(Cow::Owned(absolute)))
}

fn dirfd(m: &Moment<'_>, index: usize) -> Option<i64> {
    match m.event().param_value(index) {
        Some(Parameter::Fd(fd)) => Some(fd),
        _ => None,
    }
}
