//! `greenroom compare` reads requests from whatever people keep them in, and says where they cannot be read.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Graph, Models, Run, TestServer, adder, assert_said, command, example_model, greenroom, package,
    within,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with what is compared.
struct Bench(TempDir);

impl Bench {
    fn of(a: Vec<u8>, b: Vec<u8>) -> Self {
        let bench = Self(TempDir::with_prefix("greenroom-compare-").unwrap());
        bench.write("a.onnx", &a);
        bench.write("b.onnx", &b);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn compare(&self, data: &Path) -> Run {
        let mut command = greenroom();
        command.arg("compare").args([self.path("a.onnx"), self.path("b.onnx")]);
        Run::of(command.arg("--data").arg(data).arg("--json"))
    }

    /// How many pairs there were, and in how many the answers differed.
    #[track_caller]
    fn counts(&self, data: &Path) -> [u64; 2] {
        let run = self.compare(data);
        counts(&run)
    }

    #[track_caller]
    fn refused(&self, data: &Path) -> String {
        let run = self.compare(data);
        assert_eq!(run.code, Some(2), "{}", run.stdout);
        run.stderr
    }
}

#[track_caller]
fn counts(run: &Run) -> [u64; 2] {
    let answer: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{run:?}"));
    let report = &answer["reports"][0];
    let executed = report["sampling"]["executed"].as_u64().unwrap();
    let agreed: u64 = report["sampling"]["by_hour"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hour| hour["agreed"].as_u64().unwrap())
        .sum();
    [executed, executed - agreed]
}

/// Says of two numbers whether the first is above one and the second above the other limit.
fn above(first: f32) -> Vec<u8> {
    Graph::default()
        .input("a", "f32[N, 1]")
        .input("b", "i64[N, 1]")
        .output("label", "i64[N, 1]")
        .constant("first", &[1], &[first])
        .node("Greater", &["a", "first"], "is_above")
        .cast("is_above", "one", "i64")
        .node("Add", &["one", "b"], "label")
        .model()
}

/// A classifier of two inputs, and one that takes the numbers 0.5 and 0.6 for larger than they are: two rows of ten.
fn two_of_ten() -> Bench {
    Bench::of(above(0.65), above(0.45))
}

fn tenths(rows: usize) -> impl Iterator<Item = f64> {
    (0..rows).map(|row| (row % 10) as f64 / 10.0)
}

/// An array as numpy writes it.
fn npy(descr: &str, shape: &str, elements: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), elements].concat()
}

/// An archive of these files, as `numpy.savez` writes it.
fn npz(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let (mut bytes, mut table) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let length = (content.len() as u32).to_le_bytes();
        let described = [
            &[20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0][..],
            &crc.sum().to_le_bytes(),
            &length,
            &length,
            &(name.len() as u16).to_le_bytes(),
            &[0, 0],
        ]
        .concat();
        let place = (bytes.len() as u32).to_le_bytes();
        bytes.extend([b"PK\x03\x04", &described[..], name.as_bytes(), content].concat());
        let in_table =
            [b"PK\x01\x02\x14\x00", &described[..], &[0; 10], &place, name.as_bytes()].concat();
        table.extend(in_table);
    }
    let count = (files.len() as u16).to_le_bytes();
    let (size, place) = (table.len() as u32, bytes.len() as u32);
    bytes.extend(table);
    bytes.extend([b"PK\x05\x06\0\0\0\0", &count[..], &count].concat());
    bytes.extend([&size.to_le_bytes()[..], &place.to_le_bytes(), &[0, 0]].concat());
    bytes
}

/// The numbers of `two_of_ten`, in the types that numpy and Python have by themselves.
fn arrays(rows: usize) -> [(&'static str, Vec<u8>); 2] {
    let shape = format!("({rows}, 1)");
    let doubles: Vec<u8> = tenths(rows).flat_map(f64::to_le_bytes).collect();
    let whole: Vec<u8> = (0..rows as i32).flat_map(|row| (row % 3).to_le_bytes()).collect();
    [("a.npy", npy("<f8", &shape, &doubles)), ("b.npy", npy("<i4", &shape, &whole))]
}

#[test]
fn arrays_of_numpy_are_read_row_by_row() {
    let bench = two_of_ten();
    let data = bench.write("rows.npz", &npz(&arrays(2000)));
    assert_eq!(bench.counts(&data), [2000, 400]);
    // Requests of three rows, one after another in an array with one more dimension.
    let bench = Bench::of(adder(1.0), adder(1.0));
    let elements: Vec<u8> = (0..60).flat_map(|number| (number as f32).to_le_bytes()).collect();
    let stacked = npz(&[("X.npy", npy("<f4", "(10, 3, 2)", &elements))]);
    assert_eq!(bench.counts(&bench.write("stacked.npz", &stacked)), [10, 0]);
    // The only array for the only input, whatever it is called.
    let only = npz(&[("arr_0.npy", npy("<f4", "(30, 2)", &elements))]);
    assert_eq!(bench.counts(&bench.write("only.npz", &only)), [30, 0]);
}

#[test]
fn what_is_wrong_with_an_archive_is_told() {
    let bench = two_of_ten();
    let [a, b] = arrays(10);
    let [_, longer] = arrays(20);
    let fractions = ("b.npy", npy("<f8", "(10, 1)", &0.5f64.to_le_bytes().repeat(10)));
    let wide = ("b.npy", npy("<i8", "(10, 2)", &[0; 160]));
    let texts = ("b.npy", npy("|O", "(10, 1)", &[]));
    let short = ("b.npy", npy("<i8", "(10, 1)", &[0; 79]));
    for (files, expected) in [
        (vec![a.clone()], "there is no array `b` for that input; there are `a`"),
        (vec![a.clone(), longer], "array `a` is of 10 requests, but array `b` of 20"),
        (
            vec![a.clone(), fractions],
            "array `b`, from row 1 on: it has a value of type f64 that is no i64",
        ),
        (vec![a.clone(), wide], "array `b`: it is of shape [10, 2]; input `b` is i64[N, 1]"),
        (vec![a.clone(), texts], "array `b`: it has objects of Python"),
        (vec![a.clone(), short], "array `b`, from row 1 on: it ends too early"),
    ] {
        let said = bench.refused(&bench.write("rows.npz", &npz(&files)));
        assert_said(&said, &["rows.npz`: ", expected]);
    }
    let mut broken = npz(&[a, b]);
    broken.truncate(broken.len() - 10);
    assert_said(
        &bench.refused(&bench.write("rows.npz", &broken)),
        &["rows.npz`: it is no archive"],
    );
}

/// A table of the numbers of `two_of_ten` beside a column that is nobody's, in groups of 300 rows. Where `a` has a gap
/// there is no value every tenth row.
fn table(path: &Path, rows: usize, has_gaps: bool) {
    let schema =
        "message rows { required binary who (UTF8); optional double a; required int64 b; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties =
        WriterProperties::builder().set_compression(parquet::basic::Compression::SNAPPY).build();
    let file = fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
    let numbers: Vec<f64> = tenths(rows).collect();
    for (group, numbers) in numbers.chunks(300).enumerate() {
        let mut group_writer = writer.next_row_group().unwrap();
        let names = vec![ByteArray::from("somebody"); numbers.len()];
        let mut column = group_writer.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&names, None, None).unwrap();
        column.close().unwrap();
        let is_there = |number: &f64| !has_gaps || *number > 0.0;
        let levels: Vec<i16> = numbers.iter().map(|it| i16::from(is_there(it))).collect();
        let values: Vec<f64> = numbers.iter().copied().filter(is_there).collect();
        let mut column = group_writer.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
        let whole: Vec<i64> =
            (0..numbers.len()).map(|row| ((group * 300 + row) % 3) as i64).collect();
        let mut column = group_writer.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&whole, None, None).unwrap();
        column.close().unwrap();
        group_writer.close().unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn columns_of_parquet_are_found_by_name() {
    let bench = two_of_ten();
    let data = bench.path("rows.parquet");
    table(&data, 2000, false);
    assert_eq!(bench.counts(&data), [2000, 400]);
    // Nothing is no number, and no number is above anything.
    table(&data, 2000, true);
    assert_eq!(bench.counts(&data), [2000, 400]);
}

#[test]
fn what_is_wrong_with_a_table_of_columns_is_told() {
    let bench = Bench::of(adder(1.0), adder(1.0));
    let data = bench.path("rows.parquet");
    table(&data, 10, false);
    assert_said(&bench.refused(&data), &["rows.parquet`: the header has no column `X`"]);
    fs::write(&data, "a,b\n1,2\n").unwrap();
    assert_said(&bench.refused(&data), &["rows.parquet`: "]);
    let whole = Graph::default()
        .input("a", "i64[N]")
        .output("y", "i64[N]")
        .node("Neg", &["a"], "y")
        .model();
    let bench = Bench::of(whole.clone(), whole);
    let data = bench.path("rows.parquet");
    table(&data, 10, false);
    let expected = "column `a`, after row 0: it has a value of type f64 that is no i64";
    assert_said(&bench.refused(&data), &[expected]);
}

/// A server that has recorded twenty requests of one row, and one of two.
fn recorded() -> TestServer {
    let models = Models::made().file("m/1.onnx", adder(1.0));
    let settings = "[capture]\nmode = \"on\"\nsample = 1.0\n";
    let server = TestServer::with_models(models).settings(settings).start();
    for number in 0..20 {
        server.predict("m", &format!("{{\"instances\": [[{number}, 0.5]]}}")).ok();
    }
    server.predict("m", r#"{"instances": [[1, 2], [3, 4]]}"#).ok();
    within(PATIENCE, "21 recorded requests", || {
        let count = server.metric("greenroom_capture_records_total{model=\"m\"}");
        (count >= 21.0).then_some(())
    });
    server
}

#[test]
fn what_a_server_has_recorded_is_read_where_it_lies_and_as_it_was_exported() {
    let server = recorded();
    let bench = Bench::of(fs::read(server.models().join("m/1.onnx")).unwrap(), adder(1.0));
    let captures = server.state().join("captures");
    assert_eq!(bench.counts(&captures.join("m")), [21, 0]);
    let export = bench.path("m.npz");
    let line = "capture export --model m --format npz";
    let run = Run::of(command(&server, line).arg("--output").arg(&export));
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(bench.counts(&export), [22, 0], "a row each");
    assert_said(&bench.refused(&captures), &["STATE/captures/MODEL"]);
    // Another model was never asked that.
    let bench = two_of_ten();
    let said = bench.refused(&captures.join("m"));
    assert_said(&said, &["21 of 21 recorded requests are left out: 21 of another signature"]);
}

/// Rows of the training library's data set, each with its own answer by a version.
fn expected_rows(version: &str) -> Vec<(Value, Value)> {
    let file = package().join(format!("tests/expectations/iris-{version}.json"));
    let file: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let requests = file["requests"].as_array().unwrap();
    let rows = requests.iter().flat_map(|request| {
        let list = |key: &str| request[key].as_array().unwrap().clone();
        list("instances").into_iter().zip(list("predictions"))
    });
    rows.collect()
}

#[test]
fn flips_are_those_that_the_training_library_computes() {
    let (ones, twos) = (expected_rows("1"), expected_rows("2"));
    let label = |(_, answer): &(Value, Value)| answer["label"].clone();
    let flips: Vec<(Value, Value)> = ones
        .iter()
        .zip(&twos)
        .map(|(one, two)| (label(one), label(two)))
        .filter(|(one, two)| one != two)
        .collect();
    assert_eq!((ones.len(), flips.len()), (150, 4), "as `models/README.md` has it");
    let [one, two] = ["iris/1.onnx", "iris/2.onnx"].map(example_model);
    let bench = Bench::of(one, two);
    let rows: String = ones.iter().map(|(row, _)| format!("{row}\n")).collect();
    let data = bench.write("iris.ndjson", rows.as_bytes());
    let mut compare = greenroom();
    compare.arg("compare").args([bench.path("a.onnx"), bench.path("b.onnx")]).arg("--json");
    compare.arg("--settings").arg(package().join("models/iris/model.toml"));
    let run = Run::of(compare.arg("--data").arg(data));
    let answer: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{run:?}"));
    let outputs = answer["reports"][0]["outputs"].as_array().unwrap();
    for name in ["label", "probabilities"] {
        let output = outputs.iter().find(|output| output["name"] == name).unwrap();
        let told = &output["metrics"]["flips"];
        assert_eq!((&told["n"], &told["k"]), (&json!(150), &json!(4)), "{name}");
        let told = output["transitions"].as_array().unwrap().iter();
        let told = told.filter(|told| told["from"] != told["to"]);
        let mut sum = 0;
        for told in told {
            let is_it = |(one, two): &&(Value, Value)| *one == told["from"] && *two == told["to"];
            assert_eq!(told["k"], flips.iter().filter(is_it).count(), "{told}");
            sum += told["k"].as_u64().unwrap();
        }
        assert_eq!(sum, 4, "{name}");
    }
}

#[test]
fn the_evidence_does_not_depend_on_the_number_of_threads() {
    let bench = two_of_ten();
    let data = bench.write("rows.npz", &npz(&arrays(3000)));
    let report = |threads: &str| {
        let mut compare = greenroom();
        compare.arg("compare").args([bench.path("a.onnx"), bench.path("b.onnx")]).arg("--json");
        let run = Run::of(compare.arg("--data").arg(&data).args(["--threads", threads]));
        let answer: Value = serde_json::from_str(&run.stdout).unwrap();
        let report = answer["reports"][0].clone();
        (report["outputs"].clone(), report["slices"].clone(), report["worst"][0]["id"].clone())
    };
    assert_eq!(report("1"), report("5"));
}

#[test]
fn large_answers_do_not_pile_up() {
    const WIDTH: usize = 50_000;
    let wide = Graph::default()
        .input("x", "f32[N, 1]")
        .output("y", &format!("f32[N, {WIDTH}]"))
        .constant("zeros", &[1, WIDTH as u64], &[0.0; WIDTH])
        .node("Add", &["x", "zeros"], "y")
        .model();
    let bench = Bench::of(wide.clone(), wide);
    // All answers together are 80 MB of each model, more than may wait.
    let data = bench.write("rows.csv", format!("x\n{}", "1.5\n".repeat(400)).as_bytes());
    for threads in ["1", "3"] {
        let mut compare = greenroom();
        compare.arg("compare").args([bench.path("a.onnx"), bench.path("b.onnx")]).arg("--json");
        let run = Run::of(compare.arg("--data").arg(&data).args(["--threads", threads]));
        assert_eq!(counts(&run), [400, 0], "{threads} threads");
    }
}
