//! The code that was made from `proto/inference.proto` is checked in, so that nobody needs a compiler for it to build the
//! server. Here it is made again and held against what is there. `GENERATE=1 scripts/test generated_code` writes it.

use std::fs;
use std::path::PathBuf;

use prost::Message;
use tempfile::TempDir;

use crate::support::package;

const FILE: &str = "inference.proto";

/// What is made of the file, and where it belongs.
fn generated() -> Vec<(PathBuf, Vec<u8>)> {
    let proto = protox::Compiler::new([package().join("proto")])
        .unwrap()
        .include_source_info(true)
        .open_file(FILE)
        .unwrap()
        .file_descriptor_set();
    let code = |server: bool| {
        let folder = TempDir::with_prefix("greenroom-generated-").unwrap();
        let form = tonic_prost_build::configure().build_server(server).build_client(!server);
        let form = if server { form.codec_path("crate::api::grpc::codec::Codec") } else { form };
        form
            // The bytes of a tensor are a part of the message, and not copied out of it.
            .bytes(".inference")
            .out_dir(folder.path())
            .compile_fds(proto.clone())
            .unwrap();
        fs::read(folder.path().join("inference.rs")).unwrap()
    };
    let mut descriptor = proto.clone();
    for file in &mut descriptor.file {
        file.source_code_info = None;
    }
    let place = |path: &str| package().join(path);
    vec![
        (place("src/api/grpc/generated/inference.rs"), code(true)),
        (place("src/api/grpc/generated/inference.binpb"), descriptor.encode_to_vec()),
        (place("tests/integration/grpc/generated/inference.rs"), code(false)),
    ]
}

#[test]
fn the_generated_code_is_what_the_protocols_file_says() {
    for (path, made) in generated() {
        if std::env::var_os("GENERATE").is_some() {
            fs::write(&path, made).unwrap();
            continue;
        }
        let is_same = fs::read(&path).is_ok_and(|there| there == made);
        assert!(is_same, "`{}` is not up to date: run with GENERATE=1", path.display());
    }
}
