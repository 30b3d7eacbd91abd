//! The page of `/docs`: the document for people, in one file that loads nothing and can be read without a script.
//!
//! Its script only copies commands, finds operations, and puts the address that the page was got from into the commands.
//! It sends nothing, and the content security policy would not let it.

mod example;
mod field;

use std::sync::LazyLock;

use askama::Template;
use serde_json::{Map, Value};

use self::example::{example, written};
use self::field::{Field, fields, kind};
use crate::api::pages::source;

/// Shows a document. `address` is where its routes are asked.
pub(super) fn render(document: &Value, address: &str) -> String {
    let tags = document["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    let page = Page {
        policy: &POLICY,
        style: STYLE,
        script: SCRIPT,
        address,
        about: text(&document["info"], "description"),
        version: text(&document["info"], "version"),
        groups: tags.iter().map(|tag| Group::of(tag, document)).collect(),
    };
    page.to_string()
}

const STYLE: &str = concat!(include_str!("../pages.css"), include_str!("page/page.css"));
const SCRIPT: &str = include_str!("page/page.js");

static POLICY: LazyLock<String> = LazyLock::new(|| {
    let (script, style) = (source(SCRIPT), source(STYLE));
    format!(
        "default-src 'none'; script-src {script}; style-src {style}; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    )
});

#[derive(Template)]
#[template(path = "page.html", config = "src/api/openapi/page/askama.toml")]
struct Page<'d> {
    policy: &'d str,
    style: &'d str,
    script: &'d str,
    address: &'d str,
    about: &'d str,
    version: &'d str,
    groups: Vec<Group<'d>>,
}

/// The operations with one tag.
struct Group<'d> {
    name: &'d str,
    description: &'d str,
    operations: Vec<Operation<'d>>,
}

struct Operation<'d> {
    id: &'d str,
    method: String,
    path: &'d str,
    audience: &'d str,
    summary: &'d str,
    description: &'d str,
    parameters: Vec<Parameter<'d>>,
    /// What a request without a body looks like; none where there are examples of bodies.
    command: Option<Command>,
    requests: Vec<Body<'d>>,
    responses: Vec<Reply<'d>>,
}

struct Parameter<'d> {
    name: &'d str,
    place: &'d str,
    is_required: bool,
    kind: String,
    description: &'d str,
}

/// A body of one type.
struct Body<'d> {
    media_type: &'d str,
    description: &'d str,
    fields: Vec<Field<'d>>,
    examples: Vec<Example<'d>>,
}

struct Example<'d> {
    summary: &'d str,
    shown: Shown,
}

/// What is to be sent as a command that sends it; what comes as it is.
enum Shown {
    Command(Command),
    Text(String),
}

struct Reply<'d> {
    status: &'d str,
    description: &'d str,
    bodies: Vec<Body<'d>>,
    headers: Vec<&'d str>,
}

/// A command line, in which the address may be replaced by the one that the page came from.
struct Command {
    before: String,
    after: String,
}

impl<'d> Group<'d> {
    fn of(tag: &'d Value, document: &'d Value) -> Self {
        let name = text(tag, "name");
        let paths = document["paths"].as_object().into_iter().flatten();
        let operations = paths
            .flat_map(|(path, methods)| {
                members(methods).iter().map(move |(method, operation)| (path, method, operation))
            })
            .filter(|(_, _, operation)| operation["tags"][0] == name)
            .map(|(path, method, operation)| Operation::of(path, method, operation, document))
            .collect();
        Self { name, description: text(tag, "description"), operations }
    }
}

impl<'d> Operation<'d> {
    fn of(path: &'d str, method: &str, operation: &'d Value, document: &'d Value) -> Self {
        let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        let parameters: Vec<&Value> =
            parameters.iter().map(|one| resolved(one, document)).collect();
        let asked = Asked {
            path,
            parameters: parameters.clone(),
            document,
            wants_token: !operation["security"].is_null(),
        };
        let request = resolved(&operation["requestBody"], document);
        let requests: Vec<Body<'_>> = members(&request["content"])
            .iter()
            .map(|(name, media)| Body::of(name, media, document, Some(&asked)))
            .collect();
        let has_commands = requests.iter().any(|body| !body.examples.is_empty());
        Self {
            id: text(operation, "operationId"),
            method: method.to_ascii_uppercase(),
            path,
            audience: text(operation, "x-audience"),
            summary: text(operation, "summary"),
            description: text(operation, "description"),
            parameters: parameters.into_iter().map(|one| Parameter::of(one, document)).collect(),
            command: (!has_commands).then(|| asked.with(None)),
            requests,
            responses: members(&operation["responses"])
                .iter()
                .map(|(status, reply)| Reply::of(status, resolved(reply, document), document))
                .collect(),
        }
    }
}

impl<'d> Parameter<'d> {
    fn of(parameter: &'d Value, document: &'d Value) -> Self {
        Self {
            name: text(parameter, "name"),
            place: text(parameter, "in"),
            is_required: parameter["required"] == true,
            kind: kind(&parameter["schema"], document),
            description: text(parameter, "description"),
        }
    }
}

impl<'d> Body<'d> {
    fn of(name: &'d str, media: &'d Value, document: &'d Value, asked: Option<&Asked<'d>>) -> Self {
        let schema = &media["schema"];
        // Of bytes there are no examples.
        let asked = asked.filter(|_| name == "application/json");
        let shown = |name: &str, summary, value: &Value| Example {
            summary,
            shown: match asked {
                Some(asked) => Shown::Command(asked.with(Some((name, value)))),
                None => Shown::Text(written(value)),
            },
        };
        let mut examples: Vec<Example<'_>> = members(&media["examples"])
            .iter()
            .map(|(name, one)| shown(name, text(one, "summary"), &one["value"]))
            .collect();
        let only = media.get("example").cloned().or_else(|| example(schema, document));
        if let (true, Some(only)) = (examples.is_empty(), only) {
            examples.push(shown("", "", &only));
        }
        Self {
            media_type: name,
            description: text(resolved(schema, document), "description"),
            fields: if schema["$ref"] == ERROR { Vec::new() } else { fields(schema, document) },
            examples,
        }
    }
}

impl<'d> Reply<'d> {
    fn of(status: &'d str, reply: &'d Value, document: &'d Value) -> Self {
        // What an error is, the page says once.
        let is_plain =
            |media: &Value| media["schema"]["$ref"] == ERROR && media["example"].is_null();
        let content = members(&reply["content"]).iter().filter(|(_, media)| !is_plain(media));
        Self {
            status,
            description: text(reply, "description"),
            bodies: content.map(|(name, media)| Body::of(name, media, document, None)).collect(),
            headers: members(&reply["headers"]).keys().map(String::as_str).collect(),
        }
    }
}

const ERROR: &str = "#/components/schemas/Error";

/// What a command asks for.
struct Asked<'d> {
    path: &'d str,
    parameters: Vec<&'d Value>,
    document: &'d Value,
    wants_token: bool,
}

impl Asked<'_> {
    /// A command, with a body and the name that it has among the examples.
    fn with(&self, example: Option<(&str, &Value)>) -> Command {
        let token = match self.wants_token {
            true => "-H \"authorization: Bearer $GREENROOM_ADMIN_TOKEN\" ",
            false => "",
        };
        let (name, body) = match example {
            Some((name, body)) => {
                (name, format!(" -d '{}'", body.to_string().replace('\'', "'\\''")))
            }
            None => ("", String::new()),
        };
        let path = self.filled(name);
        Command { before: format!("curl -sS {token}'"), after: format!("{path}'{body}") }
    }

    /// The path with examples of what may stand in it. Where that is the name of the body's example, the body is for it.
    fn filled(&self, example: &str) -> String {
        let of_path = self.parameters.iter().filter(|one| one["in"] == "path");
        of_path.fold(self.path.to_owned(), |path, one| {
            let values = &resolved(&one["schema"], self.document)["enum"];
            let is_meant =
                values.as_array().is_some_and(|values| values.iter().any(|it| it == example));
            let value = if is_meant { example } else { text(one, "example") };
            path.replace(&format!("{{{}}}", text(one, "name")), value)
        })
    }
}

/// What a reference refers to; what is none, itself.
fn resolved<'d>(value: &'d Value, document: &'d Value) -> &'d Value {
    let place = value["$ref"].as_str().and_then(|place| place.strip_prefix('#'));
    place.and_then(|place| document.pointer(place)).unwrap_or(value)
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn members(value: &Value) -> &Map<String, Value> {
    static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
    value.as_object().unwrap_or(&NONE)
}

/// The words of a text, and whether they stand in backticks.
fn spans(text: &str) -> impl Iterator<Item = (bool, &str)> {
    text.split('`').enumerate().map(|(index, words)| (index % 2 == 1, words))
}
