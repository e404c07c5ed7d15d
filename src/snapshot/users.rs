//! Reads users and groups from the files below /etc.
//!
//! Directory services are left out on purpose. Querying them loads foreign code, which a statically linked program
//! cannot do, and can take seconds.

use std::path::Path;

use super::dir::{Dir, LARGE};
use super::text::{lines, number};
use super::{MAX_PATH, SnapshotReport};
use scap::format::state::{Group, User};

/// Reads `passwd` and `group` below `etc`.
pub(super) fn collect(etc: &Path, report: &mut SnapshotReport) -> (Vec<User>, Vec<Group>) {
    let Some(etc) = report.optional(Dir::open(etc)) else {
        return (Vec::new(), Vec::new());
    };
    let passwd = report.optional(etc.read("passwd", LARGE)).unwrap_or_default();
    let group = report.optional(etc.read("group", LARGE)).unwrap_or_default();
    (lines(&passwd).filter_map(user).collect(), lines(&group).filter_map(self::group).collect())
}

/// Parses a line of passwd: `name:password:uid:gid:comment:home:shell`.
fn user(line: &[u8]) -> Option<User> {
    let mut parts = line.split(|&byte| byte == b':');
    let name = name(parts.next()?)?;
    let uid = number(parts.nth(1)?)?;
    let gid = number(parts.next()?)?;
    let home = text(parts.nth(1)?);
    Some(User { uid, gid, name, home, shell: text(parts.next()?) })
}

/// Parses a line of group: `name:password:gid:members`.
fn group(line: &[u8]) -> Option<Group> {
    let mut parts = line.split(|&byte| byte == b':');
    let name = name(parts.next()?)?;
    Some(Group { gid: number(parts.nth(1)?)?, name })
}

/// Returns a valid name; `None` for a comment or a NIS entry (`+`, `-`).
fn name(name: &[u8]) -> Option<Vec<u8>> {
    match name.first()? {
        b'#' | b'+' | b'-' => None,
        _ => Some(text(name)),
    }
}

fn text(text: &[u8]) -> Vec<u8> {
    text[..text.len().min(MAX_PATH)].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_seven_fields() {
        let expected = User {
            uid: 33,
            gid: 34,
            name: b"www-data".to_vec(),
            home: b"/var/www".to_vec(),
            shell: b"/usr/sbin/nologin".to_vec(),
        };
        assert_eq!(user(b"www-data:x:33:34:w, w:/var/www:/usr/sbin/nologin"), Some(expected));
    }

    #[test]
    fn what_is_no_user_is_left_out() {
        for line in [
            &b"www-data:x:33:34:www:/var/www"[..],
            b"a:x:b:1::/:/",
            b"+::::::",
            b"#a:x:1:1::/:/",
            b":x:1:1::/:/",
            b"::",
        ] {
            assert_eq!(user(line), None, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn a_group_needs_no_members() {
        assert_eq!(group(b"audio:x:29:"), Some(Group { gid: 29, name: b"audio".to_vec() }));
        assert_eq!(group(b"audio:x:29:pulse,root"), Some(Group { gid: 29, name: b"audio".to_vec() }));
        assert_eq!(group(b"audio:x"), None);
        assert_eq!(group(b"-audio:x:29:"), None);
    }
}
