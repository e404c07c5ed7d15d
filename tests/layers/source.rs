//! Reads the paths that Rust source files name: `crate::a::b`, `super::c`, and the imports of a file.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// A path that a file names, with its segments, such as `crate`, `probe`, `Attach`.
pub struct Named {
    pub line: usize,
    pub segments: Vec<String>,
}

/// A source file, without its comments, strings and unit tests.
pub struct Source {
    /// Its path, relative to the package.
    pub path: PathBuf,
    /// The module that it defines: `["probe", "attach"]`; empty for the crate's root.
    pub module: Vec<String>,
    /// The paths in it.
    pub named: Vec<Named>,
    /// The names that it imports, with their paths.
    pub imports: BTreeMap<String, Vec<String>>,
    /// The modules that it declares, without those of tests.
    pub children: Vec<String>,
}

/// A piece of source text.
#[derive(Debug, Clone, PartialEq)]
struct Token {
    line: usize,
    text: String,
}

/// Reads a crate from its root file, module by module.
pub fn read_crate(package: &Path) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut waiting = vec![(PathBuf::from("src/lib.rs"), PathBuf::from("src"), Vec::new())];
    while let Some((path, folder, module)) = waiting.pop() {
        let text = fs::read_to_string(package.join(&path)).unwrap_or_else(|e| panic!("{path:?}: {e}"));
        let source = read(path, module, &text);
        for child in &source.children {
            let (file, below) = (folder.join(format!("{child}.rs")), folder.join(child));
            let file = if package.join(&file).exists() { file } else { below.join("mod.rs") };
            let module = source.module.iter().chain([child]).cloned().collect();
            waiting.push((file, below, module));
        }
        sources.push(source);
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// Reads a file's text.
pub fn read(path: PathBuf, module: Vec<String>, text: &str) -> Source {
    let tokens = without_tests(&tokens(text));
    let mut source =
        Source { path, module, named: Vec::new(), imports: BTreeMap::new(), children: Vec::new() };
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token: &Token| token.text == text);
    let mut at = 0;
    while at < tokens.len() {
        let starts = at == 0 || !is(at - 1, "::");
        if is(at, "mod") && is(at + 2, ";") {
            source.children.push(tokens[at + 1].text.clone());
            at += 3;
        } else if is(at, "use") {
            let mut paths = Vec::new();
            at = tree(&tokens, at + 1, &[], &mut paths);
            for (name, named) in paths {
                source.imports.insert(name, named.segments.clone());
                source.named.push(named);
            }
        } else if starts && is(at + 1, "::") && is_name(&tokens[at].text) {
            let mut paths = Vec::new();
            at = tree(&tokens, at, &[], &mut paths);
            source.named.extend(paths.into_iter().map(|(_, named)| named));
        } else {
            at += 1;
        }
    }
    source
}

/// Parses a path, or a tree of them in braces. Returns the position after it.
fn tree(tokens: &[Token], mut at: usize, before: &[String], out: &mut Vec<(String, Named)>) -> usize {
    let mut segments = before.to_vec();
    loop {
        let Some(token) = tokens.get(at) else { return at };
        if token.text == "{" {
            at += 1;
            while tokens.get(at).is_some_and(|token| token.text != "}") {
                let next = tree(tokens, at, &segments, out);
                // Skips the comma, and anything that is no path.
                at = if next == at || tokens.get(next).is_some_and(|t| t.text == ",") {
                    next + 1
                } else {
                    next
                };
            }
            return at + 1;
        }
        if !is_name(&token.text) && token.text != "*" {
            return at;
        }
        let line = token.line;
        segments.push(token.text.clone());
        at += 1;
        let goes_on = tokens.get(at).is_some_and(|token| token.text == "::")
            && tokens
                .get(at + 1)
                .is_some_and(|next| is_name(&next.text) || ["{", "*"].contains(&&*next.text));
        if goes_on {
            at += 1;
            continue;
        }
        // In a tree, `self` is the module itself.
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        let mut name = segments.last().cloned().unwrap_or_default();
        if tokens.get(at).is_some_and(|token| token.text == "as") {
            name = tokens.get(at + 1).map(|token| token.text.clone()).unwrap_or_default();
            at += 2;
        }
        out.push((name, Named { line, segments }));
        return at;
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Leaves out the items and modules under `#[cfg(test)]`, and those that only tests of other crates have.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token.text == text);
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if !(is(at, "#") && is(at + 1, "[") && is(at + 2, "cfg")) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let end = at + tokens[at..].iter().take_while(|token| token.text != "]").count() + 1;
        if !tokens[at..end].iter().any(|token| token.text == "test")
            || tokens[at..end].iter().any(|t| t.text == "not")
        {
            at = end;
            continue;
        }
        // To the end of the item: a semicolon, or the end of its braces.
        let mut depth = 0;
        at = end;
        while at < tokens.len() {
            depth += i32::from(is(at, "{")) - i32::from(is(at, "}"));
            let ends = depth == 0 && (is(at, ";") || is(at, "}"));
            at += 1;
            if ends {
                break;
            }
        }
    }
    kept
}

/// Splits source text into names and symbols, without comments and literals.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let has = |at: usize, what: &str| what.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let start = at;
        let c = chars[at];
        if has(at, "//") {
            at += chars[at..].iter().take_while(|c| **c != '\n').count();
        } else if has(at, "/*") {
            let mut depth = 0;
            loop {
                match () {
                    () if has(at, "/*") => (depth, at) = (depth + 1, at + 2),
                    () if has(at, "*/") => (depth, at) = (depth - 1, at + 2),
                    () => at += 1,
                }
                if depth == 0 || at >= chars.len() {
                    break;
                }
            }
        } else if let Some(end) = raw_string(&chars, at) {
            at = end;
        } else if c == '"' {
            at += 1;
            while at < chars.len() && chars[at] != '"' {
                at += if chars[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
        } else if c == '\'' {
            // A character, or a lifetime.
            at += match (chars.get(at + 1), chars.get(at + 2)) {
                (Some('\\'), _) => 2 + chars[at + 3..].iter().take_while(|c| **c != '\'').count() + 2,
                (Some(_), Some('\'')) => 3,
                _ => 1,
            };
        } else if c.is_alphanumeric() || c == '_' {
            at += chars[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
            tokens.push(Token { line, text: chars[start..at].iter().collect() });
        } else {
            at += if has(at, "::") { 2 } else { 1 };
            if !c.is_whitespace() {
                tokens.push(Token { line, text: chars[start..at].iter().collect() });
            }
        }
        line += chars[start..at.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

/// Returns the end of the raw string that starts here, if one does.
fn raw_string(chars: &[char], at: usize) -> Option<usize> {
    let is_in_name = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    let prefix =
        [&['b', 'r'][..], &['c', 'r'], &['r']].into_iter().find(|prefix| chars[at..].starts_with(prefix))?;
    let hashes = chars[at + prefix.len()..].iter().take_while(|c| **c == '#').count();
    let start = at + prefix.len() + hashes;
    if is_in_name || chars.get(start) != Some(&'"') {
        return None;
    }
    let end: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let rest: String = chars[start + 1..].iter().collect();
    let length = rest.find(&end).map(|at| rest[..at].chars().count())?;
    Some(start + 1 + length + end.len())
}
