//! Files that nobody should put into the models' folder: what is broken, what asks for more than it may have, and
//! what takes the process along that loads it or runs it. One function a case, each of which writes a version's
//! folder.
//!
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::onnx::{
    adder_with_a_trap, adder_with_external_data, adder_with_external_data_at, bytes, cast,
    constant, model, node, number, port, text,
};

/// One way to do harm.
pub(crate) struct Hostile {
    /// Fit for a model's name.
    pub(crate) name: &'static str,
    /// Writes the version into a folder that is there and empty: `models/NAME/VERSION`.
    pub(crate) write: fn(&Path),
    /// What it must come to.
    pub(crate) fate: Fate,
}

/// Who stops a version, with a part of the sentence that is said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The look at the models' folder, which does not take the files.
    NotTaken(&'static str),
    /// The check of the file, before anybody loads it.
    Refused(&'static str),
    /// The process that loads it and runs it on zeros: by an error, or by its own end.
    FailsItsTrial(&'static str),
    /// Nobody: it only looks bad.
    Answers,
}

/// All cases.
pub(crate) const HOSTILE: &[Hostile] = &[
    case("empty", |version| write(version, b""), Fate::Refused("is empty")),
    case("text", |version| write(version, b"no model\n"), Fate::Refused("is text")),
    case("zeros", |version| write(version, &[0; 4096]), Fate::Refused("nothing but zeros")),
    // A good model, of which the file has 1, 2, … 10 elevenths.
    case("truncated-1", |version| truncated(version, 1), Fate::Refused("cut short")),
    case("truncated-2", |version| truncated(version, 2), Fate::Refused("cut short")),
    case("truncated-3", |version| truncated(version, 3), Fate::Refused("cut short")),
    case("truncated-4", |version| truncated(version, 4), Fate::Refused("cut short")),
    case("truncated-5", |version| truncated(version, 5), Fate::Refused("cut short")),
    case("truncated-6", |version| truncated(version, 6), Fate::Refused("cut short")),
    case("truncated-7", |version| truncated(version, 7), Fate::Refused("cut short")),
    case("truncated-8", |version| truncated(version, 8), Fate::Refused("cut short")),
    case("truncated-9", |version| truncated(version, 9), Fate::Refused("cut short")),
    case("truncated-10", |version| truncated(version, 10), Fate::Refused("cut short")),
    // Sequences of sequences: protobuf's own readers end at 100 levels.
    case("deep-type", deep_type, Fate::FailsItsTrial("cannot be read as one")),
    // Graphs in graphs: so does the stack of whoever follows them.
    case("deep-graphs", deep_graphs, Fate::Refused("nested more than")),
    case("custom-operator", custom_operator, Fate::Refused("custom operators are not allowed")),
    case(
        "future-opset",
        future_opset,
        Fate::FailsItsTrial("it needs version 9999 of the operators"),
    ),
    case(
        "unknown-operator",
        unknown_operator,
        Fate::FailsItsTrial("the operator `Warp`, which this ONNX Runtime does not have"),
    ),
    case("weights-above", |version| weights_at(version, "../../etc/passwd"), OUTSIDE),
    case("weights-absolute", |version| weights_at(version, "/etc/passwd"), OUTSIDE),
    case("weights-through-a-link", weights_through_a_link, Fate::NotTaken("leads out of")),
    // ONNX Runtime reads the file, and its bytes show in the answers.
    case("weights-by-a-hard-link", weights_by_a_hard_link, Fate::NotTaken("hard links")),
    case(
        "weights-missing",
        |version| weights_at(version, "missing.bin"),
        Fate::Refused("not among the files of the version"),
    ),
    // ONNX Runtime's own name for its memory, with a file of that name beside the model.
    case("weights-in-memory", weights_in_memory, Fate::Refused("a place in memory")),
    case(
        "weights-beyond-the-end",
        |version| weights_of(version, "4096", "8"),
        Fate::Refused("should end at byte 4104"),
    ),
    case(
        "weights-before-the-beginning",
        |version| weights_of(version, "-8", "8"),
        Fate::Refused("a number of bytes is expected"),
    ),
    case(
        "weights-around-the-end",
        |version| weights_of(version, "18446744073709551608", "8"),
        Fate::Refused("a number of bytes is expected"),
    ),
    case(
        "weights-without-end",
        |version| weights_of(version, "0", "9223372036854775807"),
        Fate::Refused("its shape and type make 8"),
    ),
    case("cycle", cycle, Fate::FailsItsTrial("has a cycle")),
    case("dangling-input", dangling_input, Fate::FailsItsTrial("needs `nobody`")),
    case("no-outputs", no_outputs, Fate::Refused("has no outputs")),
    // A warning in ONNX Runtime's log, and the output's real shape in the answer.
    case("shape-lie", shape_lie, Fate::Answers),
    // All inputs are constants, so that it could be worked out at load; ONNX Runtime leaves it for the run.
    case(
        "terabyte-of-constants",
        |version| terabyte(version, false),
        Fate::FailsItsTrial("more memory than a model of its size may have"),
    ),
    case(
        "terabyte-at-the-first-run",
        |version| terabyte(version, true),
        Fate::FailsItsTrial("more memory than a model of its size may have in its first run"),
    ),
    case(
        "endless-loop",
        endless_loop,
        Fate::FailsItsTrial("of a core's time in its first run: it may never end"),
    ),
    // -2⁶³ / -1 is no int64, and the processor refuses (on x86-64: `SIGFPE`).
    case(
        "division-at-load",
        |version| division(version, false),
        Fate::FailsItsTrial("SIGFPE (an integer division that cannot be done) while it was loaded"),
    ),
    case(
        "division-at-the-first-run",
        |version| division(version, true),
        Fate::FailsItsTrial("SIGFPE (an integer division that cannot be done) in its first run"),
    ),
    case("million-nodes", million_nodes, Fate::Refused("more than 200000 nodes")),
    case("million-outputs", million_outputs, Fate::Refused("more than 4096 outputs")),
    // Functions that call the next one twice: 3,000 bytes, and 2³⁰ nodes when they are written out.
    case("billion-nodes", billion_nodes, Fate::Refused("with its functions written out")),
    case("function-calls-itself", recursion, Fate::Refused("calls itself")),
    case("three-gigabytes", three_gigabytes, Fate::NotTaken("ONNX files end at 2 GiB")),
];

const OUTSIDE: Fate = Fate::Refused("outside of the version's folder");

const F32: u64 = 1;
const I64: u64 = 7;
const BOOL: u64 = 9;

const fn case(name: &'static str, write: fn(&Path), fate: Fate) -> Hostile {
    Hostile { name, write, fate }
}

fn write(version: &Path, model: &[u8]) {
    fs::write(version.join("model.onnx"), model).unwrap();
}

/// Writes a model with an input `X` and an output `Y`, f32[N, 2], and these nodes and constants.
fn write_graph(version: &Path, parts: &[Vec<u8>]) {
    write(version, &model(&[parts.concat(), port(11, "X"), port(12, "Y")].concat(), 0));
}

fn truncated(version: &Path, elevenths: usize) {
    let model = adder_with_a_trap(1.0);
    write(version, &model[..model.len() * elevenths / 11]);
}

fn deep_type(version: &Path) {
    let sequence = |inside: Vec<u8>| bytes(4, &[bytes(1, &[inside])]);
    let innermost = bytes(1, &[number(1, F32)]);
    let deep = (0..10_000).fold(innermost, |inside, _| sequence(inside));
    let output = bytes(12, &[text(1, "Z"), bytes(2, &[deep])]);
    write_graph(version, &[node("Neg", &["X"], "Y"), output]);
}

fn deep_graphs(version: &Path) {
    let innermost = [node("Neg", &["X"], "Z"), port(12, "Z")].concat();
    let branch = |name: &str, graph: &[u8]| {
        bytes(5, &[text(1, name), bytes(6, &[graph.to_vec()]), number(20, GRAPH)])
    };
    let deep = (0..5000).fold(innermost.clone(), |inside, _| {
        let branches = [branch("then_branch", &inside), branch("else_branch", &innermost)];
        let parts = [text(1, "yes"), text(2, "Z"), text(4, "If"), branches.concat()];
        [bytes(1, &parts), port(12, "Z")].concat()
    });
    write_graph(version, &[constant("yes", BOOL, &[], &[1]), deep, node("Neg", &["Z"], "Y")]);
}

/// The type of an attribute that is a graph.
const GRAPH: u64 = 5;

fn custom_operator(version: &Path) {
    let parts = [text(1, "X"), text(2, "Y"), text(4, "Warp"), text(7, "acme")];
    write_graph(version, &[bytes(1, &parts)]);
}

fn unknown_operator(version: &Path) {
    write_graph(version, &[node("Warp", &["X"], "Y")]);
}

fn future_opset(version: &Path) {
    let graph = [node("Neg", &["X"], "Y"), text(2, "g"), port(11, "X"), port(12, "Y")];
    let opset = bytes(8, &[number(2, 9999)]);
    write(version, &[number(1, 8), opset, bytes(7, &graph)].concat());
}

fn weights_at(version: &Path, location: &str) {
    write(version, &adder_with_external_data(location));
}

fn weights_of(version: &Path, offset: &str, length: &str) {
    fs::write(version.join("w"), [0; 4096]).unwrap();
    write(version, &adder_with_external_data_at("w", offset, length));
}

/// A file that is not below the models' folder, but on the same disk.
fn outside(version: &Path) -> PathBuf {
    // A version, a model, the models' folder, and what that is in.
    let file = version.ancestors().nth(3).unwrap().join("secret");
    fs::write(&file, b"a secret, as it may be").unwrap();
    file
}

fn weights_through_a_link(version: &Path) {
    symlink(outside(version), version.join("w")).unwrap();
    weights_at(version, "w");
}

fn weights_by_a_hard_link(version: &Path) {
    fs::hard_link(outside(version), version.join("w")).unwrap();
    weights_at(version, "w");
}

fn weights_in_memory(version: &Path) {
    fs::create_dir_all(version.join("*/_ORT_MEM_ADDR_")).unwrap();
    fs::write(version.join("*/_ORT_MEM_ADDR_/*"), [0; 1 << 16]).unwrap();
    write(version, &adder_with_external_data_at("*/_ORT_MEM_ADDR_/*", "4096", "8"));
}

fn cycle(version: &Path) {
    let nodes = [node("Add", &["X", "b"], "a"), node("Neg", &["a"], "b"), node("Neg", &["b"], "Y")];
    write_graph(version, &nodes);
}

fn dangling_input(version: &Path) {
    write_graph(version, &[node("Add", &["X", "nobody"], "Y")]);
}

fn no_outputs(version: &Path) {
    write(version, &model(&[node("Neg", &["X"], "Y"), port(11, "X")].concat(), 0));
}

fn shape_lie(version: &Path) {
    // Two columns for each row are what it says, and one row of three is what there is.
    let three = constant("three", I64, &[2], &[1_i64, 3].map(i64::to_le_bytes).concat());
    let one = constant("one", I64, &[2], &[1_i64, 1].map(i64::to_le_bytes).concat());
    let nodes = [
        node("ReduceMax", &["X"], "most"),
        node("Reshape", &["most", "one"], "cell"),
        node("Tile", &["cell", "three"], "Y"),
    ];
    write_graph(version, &[one, three, nodes.concat()]);
}

fn terabyte(version: &Path, depends_on_input: bool) {
    let elements = constant("elements", I64, &[1], &(1_i64 << 38).to_le_bytes());
    let zero = constant("zero", I64, &[1], &0_i64.to_le_bytes());
    let size = match depends_on_input {
        true => [
            node("Shape", &["X"], "shape"),
            node("ReduceMax", &["shape"], "rows"),
            node("Mul", &["rows", "zero"], "nothing"),
            node("Add", &["elements", "nothing"], "size"),
        ]
        .concat(),
        false => node("Add", &["elements", "zero"], "size"),
    };
    let nodes = [
        node("ConstantOfShape", &["size"], "huge"),
        node("ReduceMax", &["huge"], "most"),
        node("Add", &["X", "most"], "Y"),
    ];
    write_graph(version, &[elements, zero, size, nodes.concat()]);
}

fn endless_loop(version: &Path) {
    write_loop(version, None);
}

/// Writes a model that does next to nothing so many times in each run; for ever, where no number is given.
pub(crate) fn write_loop(version: &Path, rounds: Option<u64>) {
    let value = |field, name: &str, dtype| {
        let tensor = bytes(1, &[number(1, dtype), bytes(2, &[])]);
        bytes(field, &[text(1, name), bytes(2, &[tensor])])
    };
    let body = [
        node("Identity", &["go"], "go_on"),
        node("Neg", &["before"], "after"),
        text(2, "body"),
        value(11, "round", I64),
        value(11, "go", BOOL),
        port(11, "before"),
        value(12, "go_on", BOOL),
        port(12, "after"),
    ];
    let attribute = bytes(5, &[text(1, "body"), bytes(6, &body), number(20, GRAPH)]);
    let most = rounds.map(|rounds| constant("rounds", I64, &[], &rounds.to_le_bytes()));
    let first = if most.is_some() { "rounds" } else { "" };
    let inputs = [text(1, first), text(1, "yes"), text(1, "X")].concat();
    let node = bytes(1, &[inputs, text(2, "Y"), text(4, "Loop"), attribute]);
    write_graph(version, &[constant("yes", BOOL, &[], &[1]), most.unwrap_or_default(), node]);
}

fn division(version: &Path, depends_on_input: bool) {
    let least = constant("least", I64, &[], &i64::MIN.to_le_bytes());
    let minus_one = constant("minus_one", I64, &[], &(-1_i64).to_le_bytes());
    let zero = constant("zero", I64, &[], &0_i64.to_le_bytes());
    let dividend = match depends_on_input {
        true => [cast("X", "whole", I64), node("Add", &["whole", "least"], "dividend")].concat(),
        false => node("Add", &["least", "zero"], "dividend"),
    };
    let nodes = [
        node("Div", &["dividend", "minus_one"], "quotient"),
        cast("quotient", "as_float", F32),
        node("Add", &["X", "as_float"], "Y"),
    ];
    write_graph(version, &[least, minus_one, zero, dividend, nodes.concat()]);
}

const MILLION: usize = 1_000_000;

fn million_nodes(version: &Path) {
    let name = |at: usize| match at {
        0 => "X".to_owned(),
        MILLION => "Y".to_owned(),
        _ => format!("v{at}"),
    };
    let nodes = (0..MILLION).map(|at| node("Neg", &[&name(at)], &name(at + 1)));
    write_graph(version, &nodes.collect::<Vec<_>>());
}

fn million_outputs(version: &Path) {
    let outputs = (1..MILLION).map(|at| {
        let name = format!("y{at}");
        [node("Neg", &["X"], &name), port(12, &name)].concat()
    });
    let first = node("Neg", &["X"], "Y");
    write_graph(version, &[first].into_iter().chain(outputs).collect::<Vec<_>>());
}

/// A call of a function of the model, as a node in this field.
fn call(field: u8, name: &str, input: &str, output: &str) -> Vec<u8> {
    bytes(field, &[text(1, input), text(2, output), text(4, name), text(7, "own")])
}

/// Writes a model that calls the function `f0` once.
fn write_functions(version: &Path, functions: &[Vec<u8>]) {
    let opset = |domain: &str, version| bytes(8, &[text(1, domain), number(2, version)]);
    let graph = [call(1, "f0", "X", "Y"), text(2, "g"), port(11, "X"), port(12, "Y")];
    let opsets = [opset("", 18), opset("own", 1)].concat();
    write(version, &[number(1, 8), opsets, bytes(7, &graph), functions.concat()].concat());
}

/// A function with an input `a` and an output `b`.
fn function(name: &str, nodes: &[Vec<u8>]) -> Vec<u8> {
    let opset = |domain: &str, version| bytes(9, &[text(1, domain), number(2, version)]);
    let opsets = [opset("", 18), opset("own", 1)].concat();
    let ports = [text(4, "a"), text(5, "b")].concat();
    bytes(25, &[text(1, name), ports, nodes.concat(), opsets, text(10, "own")])
}

fn billion_nodes(version: &Path) {
    const LEVELS: usize = 30;
    let functions = (0..LEVELS).map(|level| {
        let next = format!("f{}", level + 1);
        function(&format!("f{level}"), &[call(7, &next, "a", "m"), call(7, &next, "m", "b")])
    });
    let last = bytes(7, &[text(1, "a"), text(2, "b"), text(4, "Neg")]);
    let last = function(&format!("f{LEVELS}"), &[last]);
    write_functions(version, &functions.chain([last]).collect::<Vec<_>>());
}

fn recursion(version: &Path) {
    write_functions(version, &[function("f0", &[call(7, "f0", "a", "b")])]);
}

fn three_gigabytes(version: &Path) {
    let mut file = File::create(version.join("model.onnx")).unwrap();
    file.write_all(&adder_with_a_trap(1.0)).unwrap();
    // It takes no room on the disk.
    file.set_len(3 << 30).unwrap();
}
