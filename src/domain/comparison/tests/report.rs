//! The report, as it is written.

use super::*;

#[test]
fn the_members_are_those_of_the_shadow_report() {
    let mut given = Given::outputs(&["label", "probabilities", "y"], Change::Equivalent);
    let stable = [labels(&["a"]), matrix(&[[0.75, 0.25]; 1]), numbers(&[2.0])];
    let candidate = [labels(&["b"]), matrix(&[[0.25, 0.75]; 1]), numbers(&[f32::NAN])];
    given.live_pair(&stable, &candidate, (&stable, Arm::Stable));
    given.pair_of(Some(&stable), None, None);
    given.comparison.inputs_kept(1);
    insta::assert_snapshot!(in_lines(&given.report()), @r#"
    noise: {"pairs":1,"bit_identical":true,"flip_rate":0.0,"max_abs_p999":0.0}
    output name: "label"
    output kind: "class-label"
    output dtype: "string"
    output shape: ["N"]
    output rows: 1
    output metrics: {"flips":{"n":1,"k":1,"rate":1.0}}
    output transitions: [{"from":"a","to":"b","k":1}]
    output class_share: [{"class":"a","stable":1.0,"candidate":0.0},{"class":"b","stable":0.0,"candidate":1.0}]
    output ecdf: {}
    output name: "probabilities"
    output kind: "class-probabilities"
    output dtype: "f32"
    output shape: ["N",2]
    output rows: 1
    output metrics: {"flips":{"n":1,"k":1,"rate":1.0},"confident_flips":{"k":1},"within_tolerance":{"n":2,"k":0,"rate":0.0},"max_abs":0.5,"mean_abs":0.5,"abs":{"p50":0.5,"p90":0.5,"p99":0.5},"js":{"p50":0.18872187554086717,"p99":0.18872187554086717},"confidence_shift":{"mean":0.0},"nan":{"stable":0,"candidate":0}}
    output transitions: [{"from":"0","to":"1","k":1}]
    output class_share: [{"class":"0","stable":1.0,"candidate":0.0},{"class":"1","stable":0.0,"candidate":1.0}]
    output margins: [{"up_to":0.1,"n":0,"k":0},{"up_to":0.2,"n":0,"k":0},{"up_to":0.3,"n":0,"k":0},{"up_to":0.4,"n":0,"k":0},{"up_to":0.5,"n":0,"k":0},{"up_to":0.6,"n":1,"k":1},{"up_to":0.7,"n":0,"k":0},{"up_to":0.8,"n":0,"k":0},{"up_to":0.9,"n":0,"k":0},{"up_to":1.0,"n":0,"k":0}]
    output scatter: [[0.75,0.75]]
    output ecdf: {"abs":[[0.5,1.0]],"noise":[[0.0,1.0]]}
    output name: "y"
    output kind: "regression"
    output dtype: "f32"
    output shape: ["N"]
    output rows: 1
    output metrics: {"within_tolerance":{"n":1,"k":0,"rate":0.0},"nan":{"stable":0,"candidate":1}}
    output ecdf: {"noise":[[0.0,1.0]]}
    latency: {"pairs":1,"log_ratio":{"p5":0.09531017980432493,"p50":0.09531017980432493,"p95":0.09531017980432493},"stable_ms":{"p50":10.0,"p95":10.0,"p99":10.0},"candidate_ms":{"p50":11.0,"p95":11.0,"p99":11.0},"ecdf":[[0.09531017980432493,1.0]]}
    errors: {"candidate_only":1,"stable_only":0,"both":0,"timeouts":0}
    contract: [{"kind":"nan","output":"y","pairs":1,"first":"2026-09-21T14:13:20.001Z","detail":"NaN or infinite where stable has a number: 1 of 1 elements, in 1 of 1 rows"}]
    slices: [{"key":"output:label=a","pairs":1,"rate":1.0,"log_evidence":2.1860512767380946,"flagged":false},{"key":"output:probabilities=0","pairs":1,"rate":1.0,"log_evidence":2.1860512767380946,"flagged":false},{"key":"input:<=1KiB","pairs":1,"rate":1.0,"log_evidence":2.1860512767380946,"flagged":false},{"key":"rows:1","pairs":1,"rate":1.0,"log_evidence":2.1860512767380946,"flagged":false}]
    worst: [{"id":"s-000001","output":"label","metric":"flip","score":1.0,"at":"2026-09-21T14:13:20.001Z","request_number":1,"stable":"a","candidate":"b","has_inputs":true},{"id":"s-000001","output":"probabilities","metric":"flip","score":0.5,"at":"2026-09-21T14:13:20.001Z","request_number":1,"stable":"0 (0.75)","candidate":"1 (0.75)","has_inputs":true},{"id":"s-000001","output":"y","metric":"nan","score":1.0,"at":"2026-09-21T14:13:20.001Z","request_number":1,"stable":"2","candidate":"NaN","has_inputs":true}]
    "#);
}

#[test]
fn what_there_is_nothing_to_tell_of_is_left_out() {
    let given = Given::outputs(&["label"], Change::Retrained);
    insta::assert_snapshot!(in_lines(&given.report()), @r#"
    noise: {"pairs":0}
    output name: "label"
    output rows: 0
    output metrics: {}
    output ecdf: {}
    errors: {"candidate_only":0,"stable_only":0,"both":0,"timeouts":0}
    contract: []
    slices: []
    worst: []
    "#);
}

/// Each member on a line, and each member of the outputs.
fn in_lines(report: &ComparisonReport) -> String {
    let report = serde_json::to_value(report).unwrap();
    let mut lines = Vec::new();
    for (name, member) in report.as_object().unwrap() {
        match member.as_array().filter(|_| name == "outputs") {
            Some(outputs) => outputs.iter().for_each(|output| {
                let members = output.as_object().unwrap().iter();
                lines.extend(members.map(|(name, member)| format!("output {name}: {member}")));
            }),
            None => lines.push(format!("{name}: {member}")),
        }
    }
    lines.join("\n")
}
