//! The file names of a series, and which files belong to it.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use jiff::Zoned;
use regex::Regex;

use crate::escape::shown;

/// The suffix of a file while it is written.
pub const PARTIAL: &str = ".partial";
/// The suffix of a file that scapd compresses.
const PACKED: &str = ".gz";
/// The suffixes of compressed files, whether by scapd or by a hook, each with the magic bytes.
pub const PACKERS: [(&str, &[u8]); 5] = [
    (PACKED, &[0x1F, 0x8B]),
    (".xz", b"\xFD7zXZ\0"),
    (".zst", &[0x28, 0xB5, 0x2F, 0xFD]),
    (".bz2", b"BZh"),
    (".lz4", &[0x04, 0x22, 0x4D, 0x18]),
];
/// Minimum digits of the number in a name without a time.
const DIGITS: usize = 6;

/// The largest number that counts. No recorder gets that far: a larger one was planted to end the series.
const LAST: u64 = 999_999_999_999;

/// The strftime conversions that a name may have, each with a regular expression for its result.
const CONVERSIONS: [(char, &str); 20] = [
    ('Y', "[0-9]{4}"),
    ('C', "[0-9]{2}"),
    ('y', "[0-9]{2}"),
    ('m', "[0-9]{2}"),
    ('d', "[0-9]{2}"),
    ('H', "[0-9]{2}"),
    ('I', "[0-9]{2}"),
    ('M', "[0-9]{2}"),
    ('S', "[0-9]{2}"),
    ('j', "[0-9]{3}"),
    ('s', "[0-9]+"),
    ('F', "[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    ('T', "[0-9]{2}:[0-9]{2}:[0-9]{2}"),
    ('R', "[0-9]{2}:[0-9]{2}"),
    ('p', "[AP]M"),
    ('a', "[A-Za-z]+"),
    ('b', "[A-Za-z]+"),
    ('u', "[0-9]"),
    ('V', "[0-9]{2}"),
    ('z', "[+-][0-9]{4}"),
];

/// Why a path cannot name a series.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The path has no file name.
    #[error("{} names no file", shown(.0))]
    NoName(PathBuf),
    /// The path is `-`, for stdout.
    #[error("a series of files cannot go to stdout: name them with -w, as in -w scapd-%Y%m%d-%H%M%S.scap")]
    Stdout,
    /// The name is not UTF-8.
    #[error("the name of {} is not UTF-8, which a series of files requires", shown(.0))]
    NotText(PathBuf),
    /// An unknown conversion.
    #[error(
        "%{conversion} in {name} is no conversion for file names: use %{known}, or %% for a % itself",
        known = known()
    )]
    Conversion {
        /// The name.
        name: String,
        /// The character after the `%`; empty at the end of the name.
        conversion: String,
    },
    /// The directory has a `%`.
    #[error("{} has a % in its directory: only the file name may contain the time", shown(.0))]
    Directory(PathBuf),
}

fn known() -> String {
    CONVERSIONS.map(|(letter, _)| letter.to_string()).join(" %")
}

/// A path for a series of files. The file name may contain the time, as strftime conversions; without, it gets a number
/// before the extension (`.scap`, `.scap.gz`).
///
/// ```
/// use scapd::output::Pattern;
/// let pattern = Pattern::parse("/var/lib/scapd/web-%Y%m%d-%H%M%S.scap".as_ref())?;
/// assert!(pattern.matches("web-20260131-142233.scap"));
/// assert!(pattern.matches("web-20260131-142233-1.scap"), "a second file of the same second");
/// assert!(pattern.matches("web-20260131-142233.scap.gz"), "compressed later, or by an earlier recording");
/// assert!(!pattern.matches("notes.scap"));
/// # Ok::<(), scapd::output::PatternError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pattern {
    /// Empty if the path is a mere file name.
    dir: PathBuf,
    stem: String,
    extension: String,
    numbered: bool,
    ours: Regex,
}

impl Pattern {
    /// Parses the argument of `-w`.
    ///
    /// # Errors
    /// A [`PatternError`] if it cannot name a series.
    pub fn parse(path: &Path) -> Result<Pattern, PatternError> {
        if path.as_os_str() == "-" {
            return Err(PatternError::Stdout);
        }
        // std finds a file name in a path that ends in a slash.
        let slash = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        let name = path.file_name().filter(|_| !slash).ok_or_else(|| PatternError::NoName(path.into()))?;
        let name = name.to_str().ok_or_else(|| PatternError::NotText(path.into()))?;
        let dir = path.parent().unwrap_or(Path::new(""));
        if dir.as_os_str().as_encoded_bytes().contains(&b'%') {
            return Err(PatternError::Directory(path.into()));
        }
        let (stem, extension) = split(name);
        let (stem_ours, times) = expression(name, stem)?;
        // Matches compressed files or not: retention must not depend on the current compression.
        let (extension_ours, more) = expression(name, extension.strip_suffix(PACKED).unwrap_or(extension))?;
        let numbered = times + more == 0;
        let number = if numbered { format!("-([0-9]{{{DIGITS},}})") } else { "(-[0-9]+)?".to_owned() };
        let packed = PACKERS.map(|(name, _)| regex::escape(name)).join("|");
        // Built from escaped text and the table above, so it always compiles.
        let ours = Regex::new(&format!("^{stem_ours}{number}{extension_ours}({packed})?$"))
            .map_err(|_| PatternError::Conversion { name: name.to_owned(), conversion: String::new() })?;
        Ok(Pattern {
            dir: dir.to_owned(),
            stem: stem.to_owned(),
            extension: extension.to_owned(),
            numbered,
            ours,
        })
    }

    /// Returns the directory of the files; `.` for a mere file name.
    pub fn dir(&self) -> &Path {
        if self.dir.as_os_str().is_empty() { Path::new(".") } else { &self.dir }
    }

    /// Returns the path of a file in the directory.
    pub fn join(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Returns the pattern as a path.
    pub fn path(&self) -> PathBuf {
        self.join(&format!("{}{}", self.stem, self.extension))
    }

    /// Returns whether a finished file of that name belongs to the series, whoever compressed it.
    pub fn matches(&self, name: impl AsRef<OsStr>) -> bool {
        name.as_ref().to_str().is_some_and(|name| self.ours.is_match(name))
    }

    /// Returns whether a recorder may have written a file of that name: recorders compress with gzip only.
    pub fn is_recorders(&self, name: &str) -> bool {
        self.matches(name) && unpacked(name).is_none_or(|_| name.ends_with(PACKED))
    }

    /// Returns the number in a file name, if the series has numbers.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        if !self.numbered {
            return None;
        }
        let number = self.ours.captures(name)?.get(1)?.as_str().parse().ok();
        number.filter(|number| *number <= LAST)
    }

    /// Iterates over the names for a file that begins at a time, in order of preference. Numbers continue after `last`.
    pub(super) fn names(&self, time: &Zoned, last: u64) -> impl Iterator<Item = String> {
        let expand = |text: &str| if self.numbered { literal(text) } else { time.strftime(text).to_string() };
        let (stem, extension) = (expand(&self.stem), expand(&self.extension));
        let numbered = self.numbered;
        (0_u64..).map(move |nth| match nth {
            _ if numbered => {
                let number = last.saturating_add(nth).saturating_add(1);
                format!("{stem}-{number:0DIGITS$}{extension}")
            }
            0 => format!("{stem}{extension}"),
            nth => format!("{stem}-{nth}{extension}"),
        })
    }
}

/// Returns the name of a file before compression; `None` if it is not compressed.
pub fn unpacked(name: &str) -> Option<&str> {
    PACKERS.iter().find_map(|(packed, _)| name.strip_suffix(packed))
}

/// Splits a name into stem and extension. The extension has two parts if the second one is `.gz`.
fn split(name: &str) -> (&str, &str) {
    let packed = if name.ends_with(PACKED) { PACKED.len() } else { 0 };
    let dot = name[..name.len() - packed].rfind('.').filter(|dot| *dot > 0);
    name.split_at(dot.unwrap_or(name.len() - packed))
}

/// Replaces `%%` by `%`.
fn literal(text: &str) -> String {
    text.replace("%%", "%")
}

/// Returns the regular expression for a text with its conversions replaced, and the number of conversions.
fn expression(name: &str, text: &str) -> Result<(String, usize), PatternError> {
    let mut expression = String::new();
    let mut times = 0;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            expression.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
            continue;
        }
        let letter = rest.next();
        match CONVERSIONS.iter().find(|(known, _)| Some(*known) == letter) {
            Some((_, becomes)) => {
                expression.push_str(becomes);
                times += 1;
            }
            None if letter == Some('%') => expression.push('%'),
            None => {
                let conversion = letter.map(String::from).unwrap_or_default();
                return Err(PatternError::Conversion { name: name.to_owned(), conversion });
            }
        }
    }
    Ok((expression, times))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(path: &str) -> Pattern {
        Pattern::parse(path.as_ref()).unwrap()
    }

    fn time() -> Zoned {
        "2026-01-31T14:22:03[+01:00]".parse().unwrap()
    }

    fn first(pattern: &Pattern, count: usize, last: u64) -> Vec<String> {
        pattern.names(&time(), last).take(count).collect()
    }

    #[test]
    fn a_name_has_the_time_and_a_number_if_it_is_taken() {
        let timed = pattern("/d/scapd-%Y%m%d-%H%M%S.scap.gz");
        assert_eq!(timed.dir(), Path::new("/d"));
        assert_eq!(
            first(&timed, 3, 7),
            [
                "scapd-20260131-142203.scap.gz",
                "scapd-20260131-142203-1.scap.gz",
                "scapd-20260131-142203-2.scap.gz"
            ]
        );
        assert!(first(&timed, 3, 0).iter().all(|name| timed.matches(name)));
        for other in
            ["scapd-20260131-142203.scap.gz.partial", "scapd-20260131-142203.scap.z", "x", "scapd-.scap.gz"]
        {
            assert!(!timed.matches(other), "{other}");
        }
    }

    #[test]
    fn compressed_files_are_of_the_same_series_as_others() {
        for series in ["a.scap", "a.scap.gz"] {
            let series = pattern(series);
            for name in ["a-000007.scap", "a-000007.scap.gz"] {
                assert!(series.matches(name) && series.is_recorders(name), "{name}");
                assert_eq!(series.number(name), Some(7));
            }
            for (packer, _) in &PACKERS[1..] {
                let name = format!("a-000007.scap{packer}");
                assert!(series.matches(&name) && !series.is_recorders(&name), "{name}");
                assert_eq!((series.number(&name), unpacked(&name)), (Some(7), Some("a-000007.scap")));
            }
            assert!(!series.matches("a-000007.scap.gz.gz"));
        }
    }

    #[test]
    fn a_name_without_the_time_has_a_number() {
        let numbered = pattern("100%%.scap");
        assert_eq!((numbered.dir(), numbered.path()), (Path::new("."), "100%%.scap".into()));
        assert_eq!(first(&numbered, 2, 41), ["100%-000042.scap", "100%-000043.scap"]);
        assert_eq!(numbered.number("100%-000042.scap"), Some(42));
        assert_eq!(numbered.number("100%-1000000.scap"), Some(1_000_000));
        for far in ["1000000000000", "18446744073709551615", "99999999999999999999"] {
            let name = format!("100%-{far}.scap");
            assert!(numbered.matches(&name) && numbered.number(&name).is_none(), "{name}");
        }
        assert!(!numbered.matches("100%.scap") && !numbered.matches("100%-42.scap"));
        assert_eq!(first(&pattern("trace"), 1, 0), ["trace-000001"]);
        assert_eq!(first(&pattern(".hidden"), 1, 0), [".hidden-000001"]);
        assert_eq!(first(&pattern("a.gz"), 1, 0), ["a-000001.gz"]);
    }

    #[test]
    fn every_conversion_is_recognized_in_what_it_becomes() {
        for (letter, _) in CONVERSIONS {
            let pattern = pattern(&format!("a%{letter}b.c"));
            for name in first(&pattern, 2, 0) {
                assert!(pattern.matches(&name), "%{letter}: {name}");
                assert!(!name.contains('%') && !name.contains('/'), "{name}");
            }
        }
    }

    #[test]
    fn what_cannot_name_a_series_is_said() {
        let error = |path: &str| Pattern::parse(path.as_ref()).unwrap_err().to_string();
        assert!(error("-").contains("stdout"));
        assert!(error("/").contains("names no file"));
        assert!(error("dir/").contains("names no file"));
        assert!(error("a/%Y/b").contains("in its directory"));
        assert!(error("a-%Q.scap").starts_with("%Q in a-%Q.scap is no conversion for file names: use %Y"));
        assert!(error("a-%-d.scap").starts_with("%- in"));
        assert!(error("a%").starts_with("% in a%"));
    }
}
