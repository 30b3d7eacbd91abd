//! Settings that this version understands and checks, but does not act on yet.
//!
//! A setting without effect must not look as if it had one: whoever sets it gets a warning. These lists
//! are all there is to change when a later version learns to act on a key.

use std::collections::BTreeMap;

use super::section::{Findings, Setting};

/// Keys and whole tables of the server's settings.
const SERVER: &[&str] = &["shadow.mode", "shadow.window"];

/// Values that ask for what happens anyway, as long as the key is not acted on.
const AS_IT_IS: &[(&str, &str)] = &[("shadow.mode", "live")];

/// Warnings about the server's settings.
pub(super) fn of_server(findings: &Findings) -> Vec<String> {
    warnings(SERVER, findings.set())
}

/// One sentence for each table, so that a full file does not bury the log.
fn warnings(list: &[&str], set: &BTreeMap<String, Setting>) -> Vec<String> {
    let mut of_table: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (key, setting) in set {
        let is_element = key.contains('[');
        if is_listed(list, key) && !is_element && !is_as_it_is(key, setting) {
            let table = key.split('.').next().unwrap_or(key);
            of_table.entry(table).or_default().push(format!("`{key}` ({})", setting.origin));
        }
    }
    let sentence =
        |keys: Vec<String>| format!("this version does not act on {} yet", keys.join(", "));
    of_table.into_values().map(sentence).collect()
}

fn is_listed(list: &[&str], key: &str) -> bool {
    let is_part = |listed: &&str| {
        let rest = key.strip_prefix(*listed);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    list.iter().any(is_part)
}

fn is_as_it_is(key: &str, setting: &Setting) -> bool {
    AS_IT_IS.iter().any(|(listed, word)| *listed == key && setting.value.says(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_table_covers_its_keys_and_no_namesake() {
        for (key, listed) in [
            ("shadow.mode", true),
            ("shadow.max_rps", false),
            ("shadow.window", true),
            ("capture", false),
            ("webhooks", false),
            ("metrics.compat", false),
            ("metrics.listen", false),
            ("shadowy", false),
            ("http.listen", false),
        ] {
            assert_eq!(is_listed(SERVER, key), listed, "{key}");
        }
    }
}
