//! What the model is called, who runs it, and which of its versions are kept.

use super::super::error::printable;
use super::super::model::{ModelConfig, VersionsKept};
use super::fields::Fields;
use super::reader::Reader;
use super::text::Place;
use crate::domain::model::{ModelName, VersionLabel};

pub(super) fn read(
    fields: &Fields,
    model: &ModelName,
    config: &mut ModelConfig,
    reader: &mut Reader,
) {
    if let Some((name, place)) = fields.text("name")
        && !name.is_empty()
        && name != model.as_str()
    {
        let got = printable(name);
        reader.refuse(
            place,
            format!("`name` must be `{model}`, as the model's folder is called, got `{got}`; or leave it out"),
        );
    }
    if let Some((place, sentence)) = foreign(fields) {
        reader.refuse(place, sentence);
    }
    read_versions(fields, config, reader);
    refuse_other_kinds(fields, reader);
    for (name, why) in [
        ("runtime", "ONNX Runtime is found in the places that the server's settings name"),
        ("cc_model_filenames", "there are no files for one kind of GPU here"),
        ("metric_tags", "metrics carry the model and its version"),
        ("model_repository_agents", "files are taken as they are"),
        ("model_metrics", "the server has histograms of its own"),
    ] {
        reader.leave_out_field(fields, name, why);
    }
    if let Some((cache, place)) = fields.message("response_cache")
        && cache.is_on("enable")
    {
        reader.leave_out(place, "`response_cache` has no effect: every request is run");
    }
}

/// What says that somebody else is to run the model, and the sentence about it.
pub(super) fn foreign(fields: &Fields) -> Option<(Place, String)> {
    [("platform", "onnxruntime_onnx"), ("backend", "onnxruntime")].into_iter().find_map(
        |(field, ours)| {
            let (theirs, place) = fields.text(field)?;
            let is_foreign = !theirs.is_empty() && theirs != ours;
            is_foreign.then(|| {
                let theirs = printable(theirs);
                let sentence = format!(
                    "{field} `{theirs}` is not supported: only ONNX models (`{ours}`) are served; \
                     export the model to ONNX, or take its folder away"
                );
                (place, sentence)
            })
        },
    )
}

/// Kinds of models that one run for one request does not answer.
fn refuse_other_kinds(fields: &Fields, reader: &mut Reader) {
    for (name, why) in [
        ("sequence_batching", "requests are answered one by one, without a state between them"),
        ("ensemble_scheduling", "a model is one ONNX file; join the steps in one graph"),
        ("batch_input", "all inputs come from the request"),
        ("batch_output", "all outputs come from the model"),
        ("model_operations", "no library with operators is loaded; use standard operators"),
    ] {
        reader.refuse_field(fields, name, why);
    }
    if let Some((policy, place)) = fields.message("model_transaction_policy")
        && policy.is_on("decoupled")
    {
        reader.refuse(place, "`decoupled` is not supported: each request has one answer");
    }
}

fn read_versions(fields: &Fields, config: &mut ModelConfig, reader: &mut Reader) {
    let Some((policy, place)) = fields.message("version_policy") else { return };
    let latest = policy.message("latest");
    let choices =
        [latest.is_some(), policy.place("all").is_some(), policy.place("specific").is_some()];
    if choices.into_iter().filter(|is_there| *is_there).count() > 1 {
        return reader.refuse(
            place,
            "`version_policy` must be one of `latest`, `all` and `specific`, not several",
        );
    }
    if let Some((latest, _)) = latest {
        let count = latest.whole("num_versions").map_or(1, |(count, _)| count);
        config.versions = match usize::try_from(count) {
            Ok(0 | 1) => VersionsKept::Stable,
            Ok(count) => VersionsKept::Newest(count),
            Err(_) => VersionsKept::All,
        };
    } else if policy.place("all").is_some() {
        config.versions = VersionsKept::All;
    } else if let Some((_, place)) = policy.message("specific") {
        match specific(fields) {
            Some(labels) if labels.is_empty() => {
                reader
                    .refuse(place, "`specific` must name `versions`, such as `versions: [ 1, 2 ]`");
            }
            Some(labels) => config.versions = VersionsKept::Only(labels),
            None => reader.refuse(place, "`versions` must be whole numbers from 0 on"),
        }
    }
}

/// The versions that the policy names; none where it names none in particular, or numbers that are no versions.
pub(super) fn specific(fields: &Fields) -> Option<Vec<VersionLabel>> {
    let (policy, _) = fields.message("version_policy")?;
    let (specific, _) = policy.message("specific")?;
    let versions = specific.wholes("versions");
    let mut labels: Vec<VersionLabel> = versions
        .map(|(number, _)| number.to_string().parse().ok().filter(|_| number >= 0))
        .collect::<Option<_>>()?;
    labels.sort();
    labels.dedup();
    Some(labels)
}
