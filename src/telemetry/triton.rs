//! Measurements under the names that Triton has for them, for dashboards and autoscalers that were made for it.
//!
//! Source: `docs/user_guide/metrics.md` of Triton. What it counts per request, execution and row means the same here.

use std::fmt::Write;

use super::statistics::{Failure, Tally, Told};

/// One loaded version.
#[derive(Debug)]
pub struct Line {
    /// The model.
    pub model: String,
    /// The version.
    pub version: String,
    /// What it has done since it was loaded.
    pub told: Told,
    /// How many requests wait for it.
    pub waiting: usize,
}

/// A metric, and what a version has of it.
type Metric = (&'static str, &'static str, fn(&Told) -> u64);

const COUNTERS: [Metric; 8] = [
    ("nv_inference_request_success", "Requests that were answered.", |told| told.success.count),
    ("nv_inference_count", "Rows that have run.", |told| told.inferences),
    ("nv_inference_exec_count", "Executions.", |told| told.executions),
    ("nv_inference_request_duration_us", "Answered requests, from arrival on.", |told| {
        microseconds(told.success)
    }),
    ("nv_inference_queue_duration_us", "Waiting.", |told| microseconds(told.queue)),
    ("nv_inference_compute_input_duration_us", "Reading requests.", |told| {
        microseconds(told.reading)
    }),
    ("nv_inference_compute_infer_duration_us", "Running.", |told| microseconds(told.running)),
    ("nv_inference_compute_output_duration_us", "Writing answers.", |told| {
        microseconds(told.writing)
    }),
];

fn microseconds(tally: Tally) -> u64 {
    tally.nanoseconds / 1000
}

/// The text that Prometheus reads.
pub fn text(lines: &[Line]) -> String {
    let mut text = String::new();
    for (name, help, of) in COUNTERS {
        head(&mut text, name, help, "counter");
        for line in lines {
            sample(&mut text, name, line, "", of(&line.told));
        }
    }
    let name = "nv_inference_request_failure";
    head(&mut text, name, "Requests that were not answered.", "counter");
    for line in lines {
        for (failure, tally) in Failure::ALL.into_iter().zip(line.told.failures) {
            sample(&mut text, name, line, &format!(",reason=\"{}\"", failure.name()), tally.count);
        }
    }
    let name = "nv_inference_pending_request_count";
    head(&mut text, name, "Requests that wait.", "gauge");
    for line in lines {
        sample(&mut text, name, line, "", line.waiting as u64);
    }
    text
}

fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    // Writing to a text cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Names of models and versions have no character that would have to be escaped.
fn sample(text: &mut String, name: &str, line: &Line, labels: &str, value: u64) {
    let Line { model, version, .. } = line;
    let _ = writeln!(text, "{name}{{model=\"{model}\",version=\"{version}\"{labels}}} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_a_line_of_each_metric() {
        let tally = |count| Tally { count, nanoseconds: count * 1500 };
        let told = Told {
            success: tally(2),
            failures: [tally(1), tally(0), tally(3)],
            queue: tally(4),
            reading: tally(5),
            running: tally(6),
            writing: tally(7),
            inferences: 8,
            executions: 9,
            ..Told::default()
        };
        let line = Line { model: "iris".into(), version: "1".into(), told, waiting: 10 };
        let text = text(&[line]);
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        insta::assert_snapshot!(samples.join("\n"), @r#"
        nv_inference_request_success{model="iris",version="1"} 2
        nv_inference_count{model="iris",version="1"} 8
        nv_inference_exec_count{model="iris",version="1"} 9
        nv_inference_request_duration_us{model="iris",version="1"} 3
        nv_inference_queue_duration_us{model="iris",version="1"} 6
        nv_inference_compute_input_duration_us{model="iris",version="1"} 7
        nv_inference_compute_infer_duration_us{model="iris",version="1"} 9
        nv_inference_compute_output_duration_us{model="iris",version="1"} 10
        nv_inference_request_failure{model="iris",version="1",reason="REJECTED"} 1
        nv_inference_request_failure{model="iris",version="1",reason="CANCELED"} 0
        nv_inference_request_failure{model="iris",version="1",reason="BACKEND"} 3
        nv_inference_pending_request_count{model="iris",version="1"} 10
        "#);
    }
}
