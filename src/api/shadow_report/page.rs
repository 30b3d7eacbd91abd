//! The page of `/shadow/report`: one document that stands on its own and shows the report's JSON.
//!
//! What matters most, the verdict and what it waits for, is written here and can be read without a script. All that
//! is drawn or listed below it, the page's script makes from the very JSON that the route answers, which lies in the
//! page.
//!
//! A report is full of other people's words: names of models, outputs and classes, answers. They must not be able to
//! do anything. In the markup the template escapes them; in the JSON no character is left that could end its
//! element; the script only ever makes texts of them. Behind that stands a content security policy by which only the
//! scripts and styles of this file run, known by their hashes, and nothing is loaded from anywhere.

mod summary;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use askama::Template;
use serde_json::Value;

use self::summary::Summary;
use crate::api::pages::source;

/// Where the commands that the page offers are sent.
#[derive(Clone, Debug)]
pub struct PageLinks {
    /// The inference routes: `http://127.0.0.1:8000`.
    pub inference: String,
    /// The admin routes: `http://127.0.0.1:8002`.
    pub admin: String,
    /// Whether the admin routes want a token. The commands take it from `$GREENROOM_ADMIN_TOKEN`.
    pub admin_wants_token: bool,
}

/// The whole answer of `/shadow/report`, `{"schema": …, "reports": […]}`, as a page.
pub fn render(answer: &Value, links: &PageLinks) -> String {
    let reports = answer["reports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let page = Page {
        policy: &POLICY,
        style: STYLE,
        library: LIBRARY,
        script: SCRIPT,
        licences: LICENCES,
        links,
        reports: reports.iter().map(Summary::of).collect(),
        answer: embedded(answer),
    };
    page.to_string()
}

#[derive(Template)]
#[template(path = "page.html", config = "src/api/shadow_report/page/askama.toml")]
struct Page<'a> {
    policy: &'a str,
    style: &'a str,
    library: [&'a str; 2],
    script: &'a str,
    licences: &'a str,
    links: &'a PageLinks,
    reports: Vec<Summary<'a>>,
    /// JSON that may stand in a `script` element.
    answer: String,
}

const STYLE: &str = concat!(include_str!("../pages.css"), include_str!("page/page.css"));

/// As the npm packages bring it; `page/library/README.md` says which. Plot needs D3 before it.
const LIBRARY: [&str; 2] =
    [include_str!("page/library/d3.min.js"), include_str!("page/library/plot.umd.min.js")];

const LICENCES: &str = include_str!("page/library/LICENSES.txt");

/// One script of several files, each about one thing. They see each other's names, the page does not.
const SCRIPT: &str = concat!(
    "\"use strict\";\n(() => {\n",
    include_str!("page/script/text.js"),
    include_str!("page/script/elements.js"),
    include_str!("page/script/figure.js"),
    include_str!("page/script/summary.js"),
    include_str!("page/script/judging.js"),
    include_str!("page/script/traffic.js"),
    include_str!("page/script/metrics.js"),
    include_str!("page/script/classes.js"),
    include_str!("page/script/values.js"),
    include_str!("page/script/latency.js"),
    include_str!("page/script/slices.js"),
    include_str!("page/script/drops.js"),
    include_str!("page/script/interference.js"),
    include_str!("page/script/examples.js"),
    include_str!("page/script/report.js"),
    "})();\n",
);

/// What Plot puts as a style element into each of its figures, where their class is `plot`.
const FIGURE_STYLE: &str = ":where(.plot) {
  --plot-background: white;
  display: block;
  height: auto;
  height: intrinsic;
  max-width: 100%;
}
:where(.plot text),
:where(.plot tspan) {
  white-space: pre;
}";

static POLICY: LazyLock<String> = LazyLock::new(|| {
    let [d3, plot] = LIBRARY;
    let scripts = [d3, plot, SCRIPT].map(source).join(" ");
    let styles = [STYLE, FIGURE_STYLE].map(source).join(" ");
    format!(
        "default-src 'none'; script-src {scripts}; style-src {styles}; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    )
});

/// JSON without any character that could end a `script` element, begin a comment in it, or end a line of
/// JavaScript. All of them can stand in JSON's strings only, where they have another spelling.
fn embedded(value: &Value) -> String {
    let json = value.to_string();
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => escaped.push(c),
        }
    }
    escaped
}
