//! The parts of a Markdown file that the benchmark replaces, between two comments.

use std::{fs, path::Path};

use anyhow::{Context, bail};

/// Replaces the text between the two markers with this name in a file.
///
/// # Errors
/// If the file cannot be read or written, or has no such markers.
pub fn replace(path: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let file = path.display();
    let old = fs::read_to_string(path).with_context(|| format!("cannot read {file}"))?;
    let new =
        with_section(&old, name, text).with_context(|| format!("cannot write the results to {file}"))?;
    fs::write(path, new).with_context(|| format!("cannot write {file}"))
}

fn with_section(old: &str, name: &str, text: &str) -> anyhow::Result<String> {
    let (begin, end) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
    let Some((before, rest)) = old.split_once(&begin) else { bail!("it has no line {begin}") };
    let Some((_, after)) = rest.split_once(&end) else { bail!("it has no line {end} after {begin}") };
    Ok(format!("{before}{begin}\n{}\n{end}{after}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_around_stays() {
        let old = "# A\n<!-- x: begin -->\nold\n<!-- x: end -->\n## B\n<!-- y: begin --><!-- y: end -->\n";
        let new = with_section(old, "x", "new\n\n").unwrap();
        assert_eq!(
            new,
            "# A\n<!-- x: begin -->\nnew\n<!-- x: end -->\n## B\n<!-- y: begin --><!-- y: end -->\n"
        );
        assert_eq!(with_section(&new, "x", "new").unwrap(), new);
        assert!(with_section(old, "y", "new").unwrap().contains("old"));
    }

    #[test]
    fn markers_that_are_missing_are_an_error() {
        assert!(with_section("", "x", "new").is_err());
        assert!(with_section("<!-- x: end -->\n<!-- x: begin -->", "x", "new").is_err());
    }
}
