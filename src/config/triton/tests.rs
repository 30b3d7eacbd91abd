//! What files come to: settings, refusals, and sentences about what has no effect.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::model::{GraphOptimization, VersionsKept};
use super::super::texts::ModelTexts;
use super::*;
use crate::domain::batching::Batching;
use crate::domain::tensor::DType;

/// What a repository of Triton's has for a classifier of pictures.
const RESNET: &str = r#"
name: "resnet"
platform: "onnxruntime_onnx"
max_batch_size: 8
input [
  { name: "image" data_type: TYPE_FP32 format: FORMAT_NCHW dims: [ 3, -1, 224 ] }
]
output [
  { name: "scores", data_type: TYPE_FP32, dims: [ 3 ], label_filename: "labels.txt" }
]
version_policy: { latest { num_versions: 2 } }
instance_group [ { count: 2 kind: KIND_CPU } ]
dynamic_batching {
  preferred_batch_size: [ 4, 8 ]
  default_queue_policy { max_queue_size: 32 default_timeout_microseconds: 250000 }
}
parameters { key: "intra_op_thread_count" value: { string_value: "3" } }
parameters: { key: "execution_mode" value: { string_value: "0" } }
"#;

fn texts(text: &str) -> ModelTexts {
    let file = |file: &str, text: &str| SettingsText { file: file.into(), text: text.into() };
    let beside = [("labels.txt".to_owned(), Bytes::from("cat\r\ndog\nbird\n"))];
    ModelTexts {
        toml: None,
        triton: Some(file("resnet/config.pbtxt", text)),
        beside: beside.into_iter().collect(),
    }
}

fn read(text: &str) -> Result<ModelConfig, String> {
    let model = "resnet".parse().unwrap();
    ModelConfig::of_texts(&texts(text), &model).map_err(|error| error.to_string())
}

fn complaint(text: &str) -> String {
    read(text).unwrap_err()
}

fn warnings(text: &str) -> String {
    read(text).unwrap().inactive.join("\n")
}

#[test]
fn a_whole_file_is_understood() {
    let config = read(RESNET).unwrap();
    assert_eq!(config.labels, ["cat", "dog", "bird"]);
    assert_eq!(config.versions, VersionsKept::Newest(2));
    assert_eq!(config.session.intra_op_threads, 3);
    let scheduler = &config.scheduler;
    assert_eq!(scheduler.batching, Batching::Auto);
    assert_eq!((scheduler.max_batch_size, scheduler.max_concurrency), (8, 2));
    assert_eq!((scheduler.max_queue, scheduler.deadline), (32, Duration::from_millis(250)));
    let Declared { is_batched, inputs, outputs } = &config.declared;
    assert!(is_batched);
    assert_eq!(format!("{} {}", inputs[0].name, inputs[0]), "image f32[3, ?, 224]");
    assert_eq!(inputs[0].inside(true), [None, Some(3), None, Some(224)]);
    assert_eq!(format!("{} {}", outputs[0].name, outputs[0]), "scores f32[3]");
    assert_eq!(
        config.inactive,
        [
            "resnet/config.pbtxt:14:27: `preferred_batch_size` has no effect: a batch is whatever waits when a worker is free"
        ]
    );
}

#[test]
fn an_empty_file_leaves_everything_to_the_model() {
    assert_eq!(read("").unwrap(), ModelConfig::default());
    assert_eq!(read("name: 'resnet' backend: 'onnxruntime'").unwrap(), ModelConfig::default());
}

#[test]
fn batches_are_as_triton_makes_them() {
    let tensors = "input { name: 'a' data_type: TYPE_FP32 dims: 1 } output { name: 'b' data_type: 11 dims: -1 }";
    let batching = |text: &str| read(text).unwrap().scheduler.batching;
    assert_eq!(batching(&format!("{tensors} max_batch_size: 4")), Batching::Off);
    assert_eq!(
        batching(&format!("{tensors} max_batch_size: 4 dynamic_batching {{}}")),
        Batching::Auto
    );
    assert_eq!(batching(tensors), Batching::Off);
    assert_eq!(batching("max_batch_size: 4"), Batching::Auto, "it is completed from the model");
}

#[test]
fn a_version_policy_says_what_is_kept() {
    let kept = |text: &str| read(text).unwrap().versions;
    assert_eq!(kept("version_policy { latest {} }"), VersionsKept::Stable);
    assert_eq!(kept("version_policy: { all {} }"), VersionsKept::All);
    let labels = ["1", "3"].map(|label| label.parse().unwrap()).to_vec();
    assert_eq!(
        kept("version_policy { specific { versions: [3, 1] } }"),
        VersionsKept::Only(labels)
    );
    insta::assert_snapshot!(complaint("version_policy { specific {} }"), @"resnet/config.pbtxt:1:27: `specific` must name `versions`, such as `versions: [ 1, 2 ]`");
    insta::assert_snapshot!(complaint("version_policy { all {} latest {} }"), @"resnet/config.pbtxt:1:16: `version_policy` must be one of `latest`, `all` and `specific`, not several");
    assert!(complaint("version_policy { specific { versions: -1 } }").contains("whole numbers"));
}

#[test]
fn all_that_is_wrong_is_told_at_once_in_its_order() {
    let text = "name: 'vgg'\nbackend: 'python'\nmax_batchsize: 4\nmax_batch_size: 'x'\n\
                input { name: 'a' data_type: TYPE_FLOAT dims: 1 }\n\
                input { name: 'b' data_type: TYPE_FP32 dims: [0] }\n\
                output { data_type: TYPE_FP32 dims: 1 label_filename: 'l.txt' }\n\
                output { name: 'c' data_type: TYPE_FP32 dims: [1] reshape { shape: [2] } }\n\
                instance_group { kind: KIND_GPU }\n\
                dynamic_batching { max_queue_delay_microsecond: 1 }\n\
                sequence_batching { anything: 1 }\nbackend: 'onnxruntime'\n\
                parameters { key: 'execution_mode' value { string_value: '2' } }";
    insta::assert_snapshot!(complaint(text), @r#"
    resnet/config.pbtxt:1:7: `name` must be `resnet`, as the model's folder is called, got `vgg`; or leave it out
    resnet/config.pbtxt:2:10: backend `python` is not supported: only ONNX models (`onnxruntime`) are served; export the model to ONNX, or take its folder away
    resnet/config.pbtxt:3:1: unknown field `max_batchsize` of `ModelConfig`; did you mean `max_batch_size`?
    resnet/config.pbtxt:4:17: `max_batch_size` must be a whole number from 0 to 65536, got `"x"`
    resnet/config.pbtxt:5:7: input `a` must have a `data_type` such as `TYPE_FP32`
    resnet/config.pbtxt:5:30: `data_type` must be one of `TYPE_INVALID`, `TYPE_BOOL`, `TYPE_UINT8`, `TYPE_UINT16`, `TYPE_UINT32`, `TYPE_UINT64`, `TYPE_INT8`, `TYPE_INT16`, `TYPE_INT32`, `TYPE_INT64`, `TYPE_FP16`, `TYPE_FP32`, `TYPE_FP64`, `TYPE_STRING`, `TYPE_BF16`, got `TYPE_FLOAT`
    resnet/config.pbtxt:6:47: `dims` of input `b` must be -1 or at least 1, got `0`
    resnet/config.pbtxt:7:8: an `output` must have a `name`
    resnet/config.pbtxt:7:55: `label_filename` names `l.txt`, which is not beside `config.pbtxt`
    resnet/config.pbtxt:8:59: `reshape` of output `c` must have as many elements as `dims`, and as many -1 in the same order
    resnet/config.pbtxt:9:24: `KIND_GPU` is not supported: this build runs models on the CPU; use `KIND_CPU`
    resnet/config.pbtxt:10:20: unknown field `max_queue_delay_microsecond` of `ModelDynamicBatching`; did you mean `max_queue_delay_microseconds`?
    resnet/config.pbtxt:11:19: `sequence_batching` is not supported: requests are answered one by one, without a state between them
    resnet/config.pbtxt:12:1: `backend` is there twice
    resnet/config.pbtxt:13:58: parameter `execution_mode` must be 0 or 1, got `"2"`
    "#);
}

#[test]
fn a_list_with_nothing_in_it_has_a_name_as_well() {
    assert!(read("input [ ]\noutput: []").is_ok());
    let told = complaint("max_batch_size: 8\nouptut [ ]");
    assert!(told.contains("2:1: unknown field `ouptut`"), "{told}");
    let told = complaint("max_batch_size: []");
    assert!(told.contains("1:1: `max_batch_size` is no list"), "{told}");
}

#[test]
fn broken_text_is_told_with_its_place() {
    insta::assert_snapshot!(complaint("name: 'resnet'\ninput ["), @"resnet/config.pbtxt:2:8: syntax error: expected `:` or `{`, got the end of the file");
}

#[test]
fn what_has_no_effect_is_warned_about() {
    let text = "model_warmup { name: 'zeros' batch_size: 0 }\n\
                optimization { eager_batching: true execution_accelerators { gpu_execution_accelerator { name: 'tensorrt' } } }\n\
                response_cache { enable: true }\n\
                dynamic_batching { max_queue_delay_microseconds: 100 default_queue_policy { timeout_action: DELAY } }\n\
                parameters { key: 'enable_mem_pattern' value { string_value: '0' } }\n\
                parameters { key: 'colour' value { string_value: 'red' } }";
    insta::assert_snapshot!(warnings(text), @r#"
    resnet/config.pbtxt:3:16: `response_cache` has no effect: every request is run
    resnet/config.pbtxt:4:93: `DELAY` has no effect: a request that waited too long is refused (504)
    resnet/config.pbtxt:5:62: parameter `enable_mem_pattern` has no effect: ONNX Runtime plans the memory of a run
    resnet/config.pbtxt:6:50: parameter `colour` has no effect: nothing here is called so
    resnet/config.pbtxt:2:60: `execution_accelerators` has no effect: this build runs models on the CPU, by ONNX Runtime's own provider
    resnet/config.pbtxt:2:32: `eager_batching` has no effect: a batch is put together when a worker is free
    resnet/config.pbtxt:1:42: a sample of `model_warmup` has no effect: its `batch_size` is 0
    "#);
    assert_eq!(
        warnings(
            "response_cache { enable: false } optimization { input_pinned_memory { enable: true } }"
        ),
        ""
    );
}

#[test]
fn a_reshape_says_what_the_model_has_in_place_of_what_clients_give() {
    let read = |dims: &str, shape: &str| {
        let tensor = format!(
            "input {{ name: 'a' data_type: TYPE_INT64 dims: {dims} reshape {{ shape: {shape} }} }}"
        );
        read(&format!("{tensor} max_batch_size: 4")).unwrap().declared.inputs.remove(0)
    };
    let scalar = read("[1]", "[]");
    assert_eq!((scalar.outside(true), scalar.inside(true)), (vec![None, Some(1)], vec![None]));
    assert_eq!(scalar.inside(false), []);
    assert_eq!(read("[-1, 2, 2]", "[-1, 4]").reshape, Some(vec![None, Some(4)]));
    assert_eq!(read("[-1, 2]", "[-1, 2]").reshape, None, "it changes nothing");
}

#[test]
fn the_session_is_built_as_the_file_has_it() {
    let session = |text: &str| read(text).unwrap().session;
    let optimization = |level: i32| {
        session(&format!("optimization {{ graph {{ level: {level} }} }}")).optimization
    };
    assert_eq!(
        [-1, 0, 1, 2].map(optimization),
        [
            GraphOptimization::Basic,
            GraphOptimization::All,
            GraphOptimization::Extended,
            GraphOptimization::Off
        ]
    );
    insta::assert_snapshot!(complaint("optimization { graph { level: 3 } }"), @"resnet/config.pbtxt:1:31: `level` must be -1, 0, 1 or 2, got `3`");
    let arena = |value: &str| {
        let value = format!("value {{ string_value: '{value}' }}");
        session(&format!("parameters {{ key: 'enable_mem_arena' {value} }}")).keeps_memory
    };
    assert_eq!((arena("1"), arena("false")), (Some(true), Some(false)));
    assert_eq!(session("").keeps_memory, None, "that is found out");
}

#[test]
fn samples_for_the_warm_up_are_rows_of_the_models_inputs() {
    let mut texts = texts(
        "max_batch_size: 4 model_warmup [ { name: 'two' batch_size: 2 count: 3\n\
         inputs { key: 'a' value { data_type: TYPE_INT64 dims: [ 3, 1 ] random_data: true } }\n\
         inputs { key: 'b' value: { data_type: TYPE_FP32 dims: 1 input_data_file: 'row' } } },\n\
         { batch_size: 1 inputs [ { key: 'a' value { data_type: TYPE_BOOL zero_data: true } } ] } ]",
    );
    texts.beside.insert("warmup/row".into(), Bytes::from_static(b"1234"));
    assert_eq!(Outline::of(&texts.triton.as_ref().unwrap().text).files, ["warmup/row"]);
    let model = "resnet".parse().unwrap();
    let samples = ModelConfig::of_texts(&texts, &model).unwrap().warm_up;
    let input = |name: &str, dtype, dims: &[usize], fill| WarmUpInput {
        name: name.into(),
        dtype,
        dims: dims.to_vec(),
        fill,
    };
    let bytes = Fill::Bytes(Bytes::from_static(b"1234"));
    assert_eq!(
        samples[0].inputs,
        [input("a", DType::I64, &[3, 1], Fill::Random), input("b", DType::F32, &[1], bytes)]
    );
    assert_eq!((samples[0].name.as_str(), samples[0].rows, samples[0].count), ("two", Some(2), 3));
    assert_eq!(samples[1].inputs, [input("a", DType::Bool, &[], Fill::Zeros)]);
    assert_eq!((samples[1].rows, samples[1].count), (Some(1), 1));

    let text = "model_warmup { batch_size: 2 }\nmodel_warmup { batch_size: 1 }\n\
                model_warmup { batch_size: 1 inputs { key: 'a' value { data_type: TYPE_FP32 dims: -1 zero_data: true } } }\n\
                model_warmup { batch_size: 1 inputs { key: 'b' value { data_type: TYPE_FP32 dims: 1 } } }\n\
                model_warmup { batch_size: 1 inputs { key: 'c' value { data_type: TYPE_FP32 dims: 1 input_data_file: '../x' } } }\n\
                model_warmup { batch_size: 1 inputs { value { dims: 1 } } }";
    insta::assert_snapshot!(complaint(text), @"
    resnet/config.pbtxt:1:28: `batch_size` of a sample must be at most 1, since `max_batch_size` is 0, got `2`
    resnet/config.pbtxt:2:14: a sample of `model_warmup` must have `inputs`
    resnet/config.pbtxt:3:83: `dims` of warm-up input `a` must be at least 1, and together at most 16777216
    resnet/config.pbtxt:4:54: warm-up input `b` must have one of `zero_data`, `random_data` and `input_data_file`
    resnet/config.pbtxt:5:102: `input_data_file` names `../x`, which is not in the folder `warmup`
    resnet/config.pbtxt:6:37: `inputs` of `model_warmup` must have a `key`, the input's name
    ");
}

#[test]
fn labels_that_are_there_twice_are_told_apart() {
    let mut texts =
        texts("output { name: 'o' data_type: TYPE_FP32 dims: 3 label_filename: 'labels.txt' }");
    texts.beside.insert("labels.txt".into(), "crane\nwolf\ncrane\n".into());
    let config = ModelConfig::of_texts(&texts, &"resnet".parse().unwrap()).unwrap();
    assert_eq!(config.labels, ["crane", "wolf", "crane (2)"]);
    assert_eq!(config.inactive.len(), 1);
}

#[test]
fn settings_of_ours_lie_over_it_key_by_key() {
    let mut texts = texts(RESNET);
    let text = "labels = ['a', 'b', 'c']\nversions = 'all'\n[scheduler]\nmax_queue = 5";
    texts.toml = Some(SettingsText { file: "resnet/model.toml".into(), text: text.into() });
    let model = "resnet".parse().unwrap();
    let config = ModelConfig::of_texts(&texts, &model).unwrap();
    assert_eq!(config.labels, ["a", "b", "c"]);
    assert_eq!((config.versions, config.scheduler.max_queue), (VersionsKept::All, 5));
    assert_eq!((config.scheduler.max_batch_size, config.session.intra_op_threads), (8, 3));

    texts.triton =
        Some(SettingsText { file: "resnet/config.pbtxt".into(), text: "inputs {}".into() });
    texts.toml =
        Some(SettingsText { file: "resnet/model.toml".into(), text: "lables = []".into() });
    insta::assert_snapshot!(ModelConfig::of_texts(&texts, &model).unwrap_err().to_string(), @r#"
    resnet/config.pbtxt:1:1: unknown field `inputs` of `ModelConfig`; did you mean `input`?
    resnet/model.toml:1: unknown key `lables`; did you mean `labels`?
    "#);
}

#[test]
fn an_outline_tells_which_files_count() {
    let text = "default_model_filename: 'net.onnx' version_policy { specific { versions: [2] } }\n\
                output { name: 'o' label_filename: 'l.txt' } platform: 'tensorrt_plan' colour: 1";
    let outline = Outline::of(text);
    assert_eq!(
        (outline.files, outline.model_file),
        (vec!["l.txt".into()], Some("net.onnx".into()))
    );
    assert_eq!(outline.versions, Some(vec!["2".parse().unwrap()]));
    assert!(outline.foreign.unwrap().starts_with("platform `tensorrt_plan` is not supported"));
    assert_eq!(Outline::of("{"), Outline::default());
}

proptest! {
    #[test]
    fn no_damage_to_a_good_file_makes_it_panic(
        cut in 0..RESNET.len(),
        length in 0..40_usize,
        patch in "[\\[\\]{}<>\"':,;#0-9a-z_ \n-]{0,6}|\\PC{0,6}",
    ) {
        let end = (cut + length).min(RESNET.len());
        if let (Some(before), Some(after)) = (RESNET.get(..cut), RESNET.get(end..))
            && let Err(problems) = read(&format!("{before}{patch}{after}"))
        {
            prop_assert!(problems.lines().all(|line| line.starts_with("resnet/config.pbtxt:")), "{}", problems);
        }
    }
}
