//! How fast `greenroom compare` is, beside the plainest program that runs two models over the same rows: each row alone,
//! first on the one, then on the other, on all cores, and nothing compared.
//!
//! ```text
//! ORT_DYLIB_PATH=$(scripts/onnxruntime --path) cargo bench --bench compare -- [ROWS [ROUNDS]]
//! ```
//!
//! Both are processes of their own, from their start to their end, in turn. What counts is the ratio of the medians.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use greenroom::domain::tensor::{Elements, Tensor};
use greenroom::onnx::{Runtime, Session, SessionOptions, StopFlag};

/// Two versions, and how many numbers a row of them has.
const CONTESTS: [(&str, [&str; 2], usize); 2] = [
    ("iris", ["models/iris/1.onnx", "models/iris/2.onnx"], 4),
    ("digits", ["models/digits/1.onnx", "models/digits/1.onnx"], 64),
];

fn main() {
    let words: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if let [word, contest, rows] = &words[..]
        && word == "loop"
    {
        let (contest, rows) = (contest.parse().unwrap_or(0), rows.parse().unwrap_or(0));
        let (_, models, width) = CONTESTS[contest];
        return run_over(models, rows, width);
    }
    let number = |place: usize, usual: usize| {
        words.get(place).and_then(|word| word.parse().ok()).unwrap_or(usual)
    };
    let (rows, rounds) = (number(0, 100_000), number(1, 9));
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    println!("{rows} rows, median of {rounds} rounds in turn");
    for (contest, (name, models, width)) in CONTESTS.into_iter().enumerate() {
        let data = folder.join(format!("{name}.npz"));
        let table = folder.join(format!("{name}.ndjson"));
        fs::write(&data, npz(rows, width)).expect("a file of rows");
        fs::write(&table, ndjson(rows, width)).expect("a file of rows");
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..rounds {
            let mut plain = Command::new(std::env::current_exe().expect("a path of its own"));
            plain.args(["loop", &contest.to_string(), &rows.to_string()]);
            times[0].push(time(&mut plain));
            times[1].push(time(&mut compare(models, &data)));
            times[2].push(time(&mut compare(models, &table)));
        }
        let [plain, npz, ndjson] = times.map(median);
        let ratio = |time: Duration| plain.as_secs_f64() / time.as_secs_f64();
        println!(
            "{name}: a plain loop {plain:.2?}; compare on npz {npz:.2?} ({:.2} of its speed), on ndjson {ndjson:.2?} ({:.2})",
            ratio(npz),
            ratio(ndjson)
        );
    }
}

fn compare(models: [&str; 2], data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_greenroom"));
    command.arg("compare").args(models).arg("--data").arg(data);
    command
}

/// How long a process takes.
fn time(command: &mut Command) -> Duration {
    let command = command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let status = command.status().expect("a process");
    assert_ne!(status.code(), Some(2), "{command:?}");
    started.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Runs both models over all rows, on all cores.
fn run_over(models: [&str; 2], rows: usize, width: usize) {
    let runtime = Runtime::load(None).expect("the library");
    let sessions = models.map(|path| {
        Session::load(&runtime, Path::new(path), SessionOptions::default()).expect("a model")
    });
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let sessions = &sessions;
    thread::scope(|scope| {
        for first in 0..threads {
            scope.spawn(move || {
                let stop = StopFlag::new().expect("a flag");
                for row in (first..rows).step_by(threads) {
                    let elements = (0..width).map(|column| value(row, column)).collect();
                    let row = Tensor::new(vec![1, width], Elements::F32(elements));
                    let row = [row.expect("a row")];
                    for session in sessions {
                        let all: Vec<usize> = (0..session.signature().outputs.len()).collect();
                        let outputs = session.run(&row, &all, &stop).expect("an answer");
                        std::hint::black_box(outputs);
                    }
                }
            });
        }
    });
}

/// Numbers in the range of both data sets.
fn value(row: usize, column: usize) -> f32 {
    ((row * 31 + column * 17) % 83) as f32 / 10.0
}

fn ndjson(rows: usize, width: usize) -> String {
    let row = |row: usize| {
        let values: Vec<String> = (0..width).map(|column| value(row, column).to_string()).collect();
        format!("[{}]\n", values.join(","))
    };
    (0..rows).map(row).collect()
}

/// What `numpy.savez` writes, with one array `X`.
fn npz(rows: usize, width: usize) -> Vec<u8> {
    let header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}\n");
    let mut array = b"\x93NUMPY\x01\x00".to_vec();
    array.extend((header.len() as u16).to_le_bytes());
    array.extend(header.as_bytes());
    for row in 0..rows {
        array.extend((0..width).flat_map(|column| value(row, column).to_le_bytes()));
    }
    let mut crc = flate2::Crc::new();
    crc.update(&array);
    let length = (array.len() as u32).to_le_bytes();
    let described = [
        &[20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0][..],
        &crc.sum().to_le_bytes(),
        &length,
        &length,
        &[5, 0, 0, 0],
    ]
    .concat();
    let mut bytes = [b"PK\x03\x04", &described[..], b"X.npy", &array].concat();
    let place = (bytes.len() as u32).to_le_bytes();
    let entry = [b"PK\x01\x02\x14\x00", &described[..], &[0; 14], b"X.npy"].concat();
    let size = (entry.len() as u32).to_le_bytes();
    bytes.extend(entry);
    bytes.extend([b"PK\x05\x06\0\0\0\0\x01\0\x01\0", &size[..], &place, &[0, 0]].concat());
    bytes
}
