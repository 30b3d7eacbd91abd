//! Dependencies point inward, and `unsafe` has two rooms: what `src/lib.rs` says, held against the source.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::support::package;

/// The parts that each part may name, besides itself. Parts that are not here may name any.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("telemetry", &["domain"]),
    ("system", &["domain"]),
    ("onnx", &["domain", "telemetry", "system"]),
    ("config", &["domain", "system"]),
    ("serving", &["onnx", "domain", "config", "telemetry", "system"]),
    ("repository", &["serving", "onnx", "domain", "config", "telemetry", "system"]),
    ("capture", &["serving", "domain", "config", "telemetry", "system"]),
    ("shadow", &["serving", "onnx", "domain", "config", "telemetry", "system"]),
    (
        "delivery",
        &["repository", "shadow", "capture", "serving", "domain", "config", "telemetry", "system"],
    ),
    (
        "api",
        &[
            "delivery",
            "repository",
            "shadow",
            "capture",
            "serving",
            "domain",
            "config",
            "telemetry",
            "system",
        ],
    ),
    ("webhooks", &["delivery", "domain", "config", "telemetry", "system"]),
    ("fuzzing", &["api", "config", "repository"]),
    (
        "app",
        &[
            "api",
            "webhooks",
            "delivery",
            "repository",
            "shadow",
            "capture",
            "serving",
            "onnx",
            "config",
            "telemetry",
            "system",
        ],
    ),
];

/// What could reach out of `domain`: clocks, chance, async, other people's machines.
const OUTWARD: &[&str] =
    &["Instant::now", "SystemTime::now", "async", "rand", "tokio", "ort", "axum", "hyper"];

/// The same in the standard library: files, the network, threads, the process.
const OUTWARD_IN_STD: &[&str] = &["fs", "net", "thread", "process", "env"];

/// Every folder and file right below `src/`.
static PARTS: LazyLock<BTreeSet<String>> =
    LazyLock::new(|| sources().into_iter().map(|source| source.part).collect());

/// A file of `src/`, with comments, strings and character literals blanked out.
struct Source {
    /// From the package's folder on.
    file: String,
    /// How many `super` lead to the root of the crate.
    depth: usize,
    /// The first folder or file below `src/`.
    part: String,
    code: String,
}

#[test]
fn dependencies_point_inward() {
    let mut violations = Vec::new();
    for source in sources() {
        let Some((_, allowed)) = MAY_NAME.iter().find(|(part, _)| *part == source.part) else {
            continue;
        };
        for (line, named) in source.parts_named() {
            if named != source.part && !allowed.contains(&named.as_str()) {
                violations.push(format!("{}:{line}: names {named}", source.file));
            }
        }
    }
    assert_none(&violations);
}

#[test]
fn domain_imports_nothing_outward() {
    let mut violations = Vec::new();
    for source in sources().into_iter().filter(|source| source.part == "domain") {
        violations.extend(source.lines_with(OUTWARD));
        let named = source.named_after("std", |path| path.strip_prefix("std::"));
        let outward = named.iter().filter(|(_, name)| OUTWARD_IN_STD.contains(&name.as_str()));
        violations
            .extend(outward.map(|(line, name)| format!("{}:{line}: std::{name}", source.file)));
    }
    assert_none(&violations);
}

#[test]
fn only_onnx_knows_the_librarys_crate() {
    let others = sources().into_iter().filter(|source| source.part != "onnx");
    assert_none(&others.flat_map(|source| source.lines_with(&["ort"])).collect::<Vec<_>>());
}

#[test]
fn unsafe_code_has_two_rooms() {
    let is_room = |source: &Source| ["onnx", "system"].contains(&source.part.as_str());
    let others = sources().into_iter().filter(|source| !is_room(source));
    assert_none(&others.flat_map(|source| source.lines_with(&["unsafe"])).collect::<Vec<_>>());
}

#[test]
fn routes_are_made_from_their_table_alone() {
    let others = sources().into_iter().filter(|source| source.file != "src/api/routes.rs");
    let makers = ["axum::routing", "route_service", "nest_service", "fallback_service"];
    assert_none(&others.flat_map(|source| source.lines_with(&makers)).collect::<Vec<_>>());
}

#[test]
fn every_part_but_the_outermost_is_in_the_table() {
    let known = |part: &&String| {
        ["lib", "main", "cli"].contains(&part.as_str())
            || MAY_NAME.iter().any(|(known, _)| known == part)
    };
    let unknown: Vec<&String> = PARTS.iter().filter(|part| !known(part)).collect();
    assert_eq!(unknown, Vec::<&String>::new());
}

#[track_caller]
fn assert_none(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

impl Source {
    fn read(path: &Path) -> Self {
        let below_src = path.strip_prefix(package().join("src")).unwrap();
        let mut names: Vec<String> =
            below_src.with_extension("").iter().map(|name| name.to_str().unwrap().into()).collect();
        let part = names[0].clone();
        if names.last().is_some_and(|name| ["mod", "lib", "main"].contains(&name.as_str())) {
            names.pop();
        }
        let code = without_comments_and_strings(&fs::read_to_string(path).unwrap());
        let file = path.strip_prefix(package()).unwrap().display().to_string();
        Self { file, depth: names.len(), part, code }
    }

    /// `file:line: the line` for each line that has one of these, as whole words.
    fn lines_with(&self, words: &[&str]) -> Vec<String> {
        let has = |line: &str| words.iter().any(|word| !places_of(line, word).is_empty());
        let lines = self.code.lines().enumerate().filter(|(_, line)| has(line));
        lines.map(|(at, line)| format!("{}:{}: {}", self.file, at + 1, line.trim())).collect()
    }

    /// The parts of the crate that paths lead to, with the lines where the paths begin.
    fn parts_named(&self) -> BTreeSet<(usize, String)> {
        let roots = ["crate", "greenroom", "super"];
        let mut named: BTreeSet<_> = roots
            .iter()
            .flat_map(|root| self.named_after(root, |path| self.path_from_root(path)))
            .collect();
        // A path of the part's own, from a `mod tests` in it, may look as if it began at the root.
        named.retain(|(_, name)| PARTS.contains(name));
        named
    }

    /// The first names below a root, with the lines where their paths begin. `below` cuts the root off.
    fn named_after<'t>(
        &'t self,
        root: &str,
        below: impl Fn(&'t str) -> Option<&'t str>,
    ) -> BTreeSet<(usize, String)> {
        let mut named = BTreeSet::new();
        for place in places_of(&self.code, root) {
            let line = self.code[..place].matches('\n').count() + 1;
            let names = below(&self.code[place..]).map(first_segments).unwrap_or_default();
            named.extend(names.into_iter().map(|name| (line, name)));
        }
        named
    }

    /// What comes after `crate::`, or after as many `super::` as lead there.
    fn path_from_root<'t>(&self, path: &'t str) -> Option<&'t str> {
        let below = |root| path.strip_prefix(root);
        if let Some(rest) = below("crate::").or_else(|| below("greenroom::")) {
            return Some(rest);
        }
        let rest = path.trim_start_matches("super::");
        let levels = (path.len() - rest.len()) / "super::".len();
        (levels > 0 && levels >= self.depth).then_some(rest)
    }
}

/// `a` of `a::b`, and each first name of `{a::b, c}`.
fn first_segments(path: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = path.strip_prefix('{') else { return vec![word(path)] };
    let (mut depth, mut segments, mut begins) = (1, Vec::new(), 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => {
                segments.push(word(&group[begins..at]));
                begins = at + 1;
            }
            _ => {}
        }
        if depth == 0 {
            segments.push(word(&group[begins..at]));
            break;
        }
    }
    segments
}

/// Where a word stands that is not a part of a longer one.
fn places_of(text: &str, word: &str) -> Vec<usize> {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word)
        .map(|(place, _)| place)
        .filter(|&place| {
            let after = text[place + word.len()..].chars().next();
            !is_part(text[..place].chars().next_back()) && !is_part(after)
        })
        .collect()
}

fn sources() -> Vec<Source> {
    let paths = sources_below(&package().join("src"));
    assert!(paths.len() > 20, "{paths:?}");
    paths.iter().map(|path| Source::read(path)).collect()
}

fn sources_below(folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            paths.extend(sources_below(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            paths.push(path);
        }
    }
    paths.sort();
    paths
}

/// The text with spaces for everything that is not code; lines stay where they are.
fn without_comments_and_strings(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = end_of_blank(&chars, at);
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            code.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

/// Where the comment or literal ends that begins here; `at` itself where none does.
fn end_of_blank(chars: &[char], at: usize) -> usize {
    let find = |from: usize, end: &[char]| {
        let found = chars[from..].windows(end.len()).position(|window| window == end);
        found.map_or(chars.len(), |found| from + found + end.len())
    };
    let quoted = |mut at: usize, quote: char| {
        while at < chars.len() && chars[at] != quote {
            at += if chars[at] == '\\' { 2 } else { 1 };
        }
        (at + 1).min(chars.len())
    };
    let follows_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match &chars[at..] {
        ['/', '/', ..] => find(at, &['\n']).saturating_sub(1).max(at + 2),
        ['/', '*', ..] => find(at + 2, &['*', '/']),
        ['"', ..] => quoted(at + 1, '"'),
        ['r', rest @ ..] if !follows_word => {
            let hashes = rest.iter().take_while(|c| **c == '#').count();
            if rest.get(hashes) != Some(&'"') {
                return at;
            }
            let end: Vec<char> = std::iter::once('"').chain(vec!['#'; hashes]).collect();
            find(at + hashes + 2, &end)
        }
        // `'a'` and `'\n'` are characters, `'a` is a lifetime.
        ['\'', '\\', ..] => quoted(at + 1, '\''),
        ['\'', _, '\'', ..] => at + 3,
        _ => at,
    }
}

#[test]
fn comments_and_strings_are_not_code() {
    let text =
        "a // unsafe\nb /* ort::x */ \"ort \\\" unsafe\" r#\"un\"safe\"# 'x' '\\'' &'a str \"\" c";
    let code = without_comments_and_strings(text);
    let words: Vec<&str> = code.split_whitespace().collect();
    assert_eq!(words, ["a", "b", "&'a", "str", "c"]);
    assert_eq!(code.len(), text.len());
}

#[test]
fn the_first_names_of_a_path_are_found() {
    assert_eq!(first_segments("api::Api;"), ["api"]);
    assert_eq!(first_segments("{api::{self, Api}, domain::model, app}"), ["api", "domain", "app"]);
}
