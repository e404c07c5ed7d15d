//! The page of a report: one file that needs no other one.
//!
//! Text from captures is hostile. It is in the page only as JSON in which [nothing can end an element](harmless), scripts write it as
//! text and never as markup, and a content security policy permits nothing but the page's own scripts and styles, by their
//! hashes: no network, no images, no forms.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

const PAGE: &str = include_str!("assets/page.html");
const STYLE: &str = include_str!("assets/page.css");
const CHARTS: &str = include_str!("assets/echarts.min.js");
const LICENCES: &str = include_str!("../../LICENSES/echarts.txt");
/// In this order.
const SCRIPTS: [&str; 5] = [
    include_str!("assets/data.js"),
    include_str!("assets/units.js"),
    include_str!("assets/tables.js"),
    include_str!("assets/charts.js"),
    include_str!("assets/page.js"),
];

/// Returns the page.
pub(super) fn page(data: &Json) -> String {
    let own = format!("'use strict';\n(() => {{\n{}}})();\n", SCRIPTS.concat());
    let policy = format!(
        "default-src 'none'; script-src {} {}; style-src {}; base-uri 'none'; form-action 'none'",
        hash(CHARTS),
        hash(&own),
        hash(STYLE)
    );
    let mut page = String::with_capacity(PAGE.len() + STYLE.len() + CHARTS.len() + own.len() + (1 << 20));
    let mut rest = PAGE;
    for (mark, text) in [
        ("{policy}", &*policy),
        ("{style}", STYLE),
        ("{licences}", &escaped(LICENCES)),
        ("{data}", &harmless(data)),
        ("{charts}", CHARTS),
        ("{scripts}", &own),
    ] {
        let (before, after) = rest.split_once(mark).unwrap_or((rest, ""));
        page.push_str(before);
        page.push_str(text);
        rest = after;
    }
    page.push_str(rest);
    page
}

/// Returns JSON in which nothing ends a script element, begins a comment or another element, or is a line's end to a script only.
fn harmless(data: &Json) -> String {
    let text = data.to_string();
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    for c in text.chars() {
        match c {
            // They are in strings only.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// Returns text as the content of an element.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Returns the hash of a script or a style for a policy.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_in_the_data_is_markup() {
        let hostile = "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>]]>&lt;\u{2028}\u{2029}{scripts}";
        let data = json!({ hostile: [hostile] });
        let text = harmless(&data);
        assert!(!text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{text}");
        assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), data);
        let (with, without) = (page(&data), page(&json!({})));
        assert_eq!(with.matches("</script").count(), without.matches("</script").count());
        assert_eq!(with.len() - text.len(), without.len() - "{}".len());
    }

    #[test]
    fn the_parts_end_where_they_should() {
        let own = SCRIPTS.concat();
        for script in [CHARTS, &own] {
            assert!(!script.contains("</script") && !script.contains("<!--"));
        }
        assert!(!STYLE.contains("</style"));
        // What runs is what the policy has a hash of.
        let page = page(&json!({}));
        for part in page.split("<script>").skip(1) {
            let script = part.split("</script>").next().unwrap();
            assert!(page.contains(&hash(script)), "{}", &script[..80]);
        }
        let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        assert!(page.contains(&hash(style)));
        assert_eq!((page.matches("<script>").count(), page.matches("<script ").count()), (2, 1));
        // What it forbids is not there.
        for forbidden in [" style=", " onclick=", " onerror=", " onload=", " src=", " href=\"http", "<form"] {
            assert!(!PAGE.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn no_script_writes_markup() {
        for script in SCRIPTS {
            for word in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("]
            {
                assert!(!script.contains(word), "{word}");
            }
        }
    }
}
