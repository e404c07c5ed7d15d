//! The parts of an image's name.

/// The parts of `repository:tag@digest`. What is not there is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Image<'a> {
    pub repository: &'a str,
    pub tag: &'a str,
    pub digest: &'a str,
}

/// Takes the name of an image apart. An id instead of a name has no parts.
pub(super) fn parts(name: &str) -> Image<'_> {
    let (name, digest) = name.split_once('@').unwrap_or((name, ""));
    if name.starts_with("sha256:") || name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Image { digest, ..Image::default() };
    }
    match name.rsplit_once(':') {
        // Otherwise it is the port of the registry.
        Some((repository, tag)) if !tag.contains('/') => Image { repository, tag, digest },
        _ => Image { repository: name, tag: "", digest },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_up_to_three_parts() {
        let digest = "sha256:0123";
        for (name, repository, tag, of_digest) in [
            ("busybox", "busybox", "", ""),
            ("busybox:1.37", "busybox", "1.37", ""),
            ("localhost:5000/a/b", "localhost:5000/a/b", "", ""),
            ("localhost:5000/a/b:2", "localhost:5000/a/b", "2", ""),
            ("quay.io/a/b:2@sha256:0123", "quay.io/a/b", "2", digest),
            ("quay.io/a/b@sha256:0123", "quay.io/a/b", "", digest),
            ("sha256:0123", "", "", ""),
            (&"a".repeat(64), "", "", ""),
        ] {
            assert_eq!(parts(name), Image { repository, tag, digest: of_digest }, "{name}");
        }
    }
}
