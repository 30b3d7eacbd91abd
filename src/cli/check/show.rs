//! What was found, for people and as JSON.

use bytesize::ByteSize;
use serde_json::{Value, json};

use super::Checked;
use crate::cli::table::named;
use crate::repository::check::Spread;

pub(super) fn as_json(checked: &[Checked]) -> String {
    let one = |checked: &Checked| {
        let facts = checked.outcome.as_ref().ok();
        json!({
            "path": checked.path,
            "good": facts.is_some(),
            "reason": checked.outcome.as_ref().err().map(|fault| &fault.reason),
            "detail": checked.outcome.as_ref().err().and_then(|fault| fault.words.as_ref()),
            "bytes": checked.bytes,
            "signature": checked.signature,
            "batching": facts.map(|facts| facts.rows.is_ok()),
            "batching_reason": facts.and_then(|facts| facts.rows.as_ref().err()).map(ToString::to_string),
            "fails_on_zeros": checked.fails_on_zeros,
            "load_ms": facts.map(|facts| facts.load_time.as_secs_f64() * 1e3),
            "run_ms": facts.and_then(|facts| facts.run_time).map(|time| time.as_secs_f64() * 1e3),
            "faster_on": facts.and_then(|facts| facts.spread).map(|spread| json!({
                "threads": spread.threads,
                "run_ms": spread.run_time.as_secs_f64() * 1e3,
            })),
            "memory_bytes": facts.map(|facts| facts.memory),
            "peak_bytes": facts.map(|facts| facts.peak),
        })
    };
    format!("{:#}", json!({ "checks": checked.iter().map(one).collect::<Vec<_>>() }))
}

pub(super) fn for_people(checked: &[Checked]) -> String {
    let tables = checked.iter().map(|one| {
        let mut rows = vec![("model", one.path.display().to_string())];
        match &one.outcome {
            Ok(facts) => {
                rows.push(("verdict", "good".to_owned()));
                rows.extend(ports(one.signature.as_ref()));
                let batching = match &facts.rows {
                    Ok(()) => "requests can run together".to_owned(),
                    Err(alone) => format!("requests run one by one: {alone}"),
                };
                rows.push(("batching", batching));
                let run = match facts.run_time {
                    Some(time) => format!(", one run on zeros {time:.1?}"),
                    None => String::new(),
                };
                rows.push(("time", format!("loads in {:.1?}{run}", facts.load_time)));
                if let Some(Spread { threads, run_time }) = facts.spread {
                    let gain = format!("one run on zeros {run_time:.1?} with {threads} of them");
                    rows.push(("threads", format!("{gain} ([session] intra_op_threads)")));
                }
                let [keeps, peak] = [facts.memory, facts.peak].map(ByteSize);
                let memory = format!("{keeps} once it is loaded, {peak} meanwhile");
                rows.push(("memory", memory));
                if let Some(words) = &one.fails_on_zeros {
                    rows.push(("note", format!("it fails on zeros: {words}")));
                }
            }
            Err(fault) => {
                let verdict = if fault.is_for_good { "bad" } else { "not known" };
                rows.push(("verdict", format!("{verdict}: {}", fault.reason)));
                rows.extend(fault.words.clone().map(|words| ("detail", words)));
            }
        }
        named(rows)
    });
    tables.collect::<Vec<_>>().join("\n\n")
}

/// `X f32[N, 4]` for each input and output.
fn ports(signature: Option<&Value>) -> Vec<(&'static str, String)> {
    let of = |key: &str| signature.and_then(|it| it[key].as_array()).into_iter().flatten();
    let line = |port: &Value| {
        let text = |key: &str| port[key].as_str().unwrap_or("?").to_owned();
        let shape = match &port["shape"] {
            Value::Array(dims) => {
                let dim = |dim: &Value| dim.as_str().map_or_else(|| dim.to_string(), str::to_owned);
                dims.iter().map(dim).collect::<Vec<_>>().join(", ")
            }
            _ => "…".to_owned(),
        };
        format!("{} {}[{shape}]", text("name"), text("dtype"))
    };
    let inputs = of("inputs").map(|port| ("input", line(port)));
    inputs.chain(of("outputs").map(|port| ("output", line(port)))).collect()
}
