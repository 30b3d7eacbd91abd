//! Models, good and bad, and what the check says of them.

mod external;
mod files;
mod form;
mod limits;
mod operators;
mod random;
mod tensors;

use std::io::Cursor;
use std::path::{Path, PathBuf};

use self::onnx::{bytes, model, node, number, port, text};
use super::*;

#[path = "../../../../tests/integration/support/hostile.rs"]
mod hostile;
#[path = "../../../../tests/integration/support/onnx.rs"]
mod onnx;

/// What the check says of a model in an empty folder.
fn verdict(model: &[u8]) -> Result<Contract, ContractError> {
    verdict_below(model, Path::new("/nonexistent"), &ContractLimits::default())
}

fn verdict_below(
    model: &[u8],
    folder: &Path,
    limits: &ContractLimits,
) -> Result<Contract, ContractError> {
    check_file(Cursor::new(model), model.len() as u64, folder, limits)
}

/// The sentence about a bad model.
#[track_caller]
fn complaint(model: &[u8]) -> String {
    verdict(model).unwrap_err().to_string()
}

/// A model with a node, an input, an output, and whatever else its graph should have.
fn with(parts: &[Vec<u8>]) -> Vec<u8> {
    let graph = [node("Neg", &["X"], "Y"), port(11, "X"), port(12, "Y"), parts.concat()];
    model(&graph.concat(), 0)
}

/// A part of a graph: an initializer that is made of its fields.
fn initializer(fields: &[Vec<u8>]) -> Vec<u8> {
    bytes(5, fields)
}

/// The dimensions of a tensor.
fn dims(dims: &[u64]) -> Vec<u8> {
    dims.iter().flat_map(|dim| number(1, *dim)).collect()
}

/// A node with an attribute that is made of its fields.
fn node_with(attribute: &[Vec<u8>]) -> Vec<u8> {
    let attribute = [text(1, "value"), attribute.concat()];
    bytes(1, &[text(2, "c"), text(3, "c1"), text(4, "Constant"), bytes(5, &attribute)])
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All models below a folder of the package.
fn models_below(folder: &str) -> Vec<PathBuf> {
    let mut models = Vec::new();
    for entry in std::fs::read_dir(package().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        match path.extension() {
            Some(ending) if ending == "onnx" => models.push(path),
            Some(_) => {}
            None => models.extend(models_below(path.to_str().unwrap())),
        }
    }
    models.sort();
    models
}

#[test]
fn the_models_of_the_repository_keep_the_contract() {
    let models = [models_below("models"), models_below("tests/models")].concat();
    assert!(models.len() > 20, "{models:?}");
    for path in models {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let verdict = verdict(&std::fs::read(&path).unwrap());
        match name {
            "text" => assert_eq!(verdict.unwrap_err().to_string(), NotAModel::Text.to_string()),
            "truncated" => {
                let sentence = verdict.unwrap_err().to_string();
                assert!(sentence.contains("cut short"), "{sentence}");
            }
            _ => {
                let contract = verdict.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert!(contract.nodes > 0 && contract.opsets.contains_key(""), "{contract:?}");
            }
        }
    }
}

#[test]
fn a_model_is_checked_where_it_lies_and_its_size_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.onnx"), onnx::adder_with_external_data("w")).unwrap();
    std::fs::write(folder.path().join("w"), [0; 8]).unwrap();
    let contract = check(folder.path(), &ContractLimits::default()).unwrap();
    let opsets = BTreeMap::from([(String::new(), 18)]);
    let file_bytes = contract.file_bytes;
    assert_eq!(
        contract,
        Contract { file_bytes, nodes: 1, opsets, inline_bytes: 0, external_bytes: 8 }
    );
    assert_eq!(contract.bytes(), file_bytes + 8);

    let heavy = onnx::HeavyAdder::new(1.0, 100);
    let file = File::create(folder.path().join("model.onnx")).unwrap();
    std::io::Write::write_all(&mut &file, &heavy.beginning).unwrap();
    file.set_len(heavy.length).unwrap();
    let contract = check(folder.path(), &ContractLimits::default()).unwrap();
    assert_eq!((contract.nodes, contract.inline_bytes), (4, 100 << 20));
}

#[test]
fn a_folder_without_a_model_is_no_bad_model() {
    let folder = tempfile::tempdir().unwrap();
    let error = check(folder.path(), &ContractLimits::default()).unwrap_err();
    assert!(matches!(error, ContractError::Unreadable(_)), "{error}");
    assert!(!error.to_string().contains(folder.path().to_str().unwrap()), "{error}");
}
