//! Bodies that are compressed, either way, of this protocol and of v1.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};

use super::infer;
use crate::support::{Models, Request, TestServer, adder};

fn packed(encoding: &str, body: &[u8]) -> Vec<u8> {
    match encoding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        _ => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
    }
}

fn unpacked(encoding: &str, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match encoding {
        "gzip" => GzDecoder::new(body).read_to_end(&mut out).unwrap(),
        _ => ZlibDecoder::new(body).read_to_end(&mut out).unwrap(),
    };
    out
}

/// A request whose answer is worth compressing.
fn rows(count: usize) -> Value {
    let data: Vec<usize> = (0..count * 2).collect();
    json!({ "inputs": [{ "name": "X", "datatype": "FP32", "shape": [count, 2], "data": data }] })
}

#[test]
fn requests_and_answers_may_be_compressed() {
    let server = TestServer::with_models(Models::made().file("adder.onnx", adder(0.5))).start();
    let v2 = rows(500).to_string();
    let v1 = json!({ "instances": vec![[1, 2]; 500] }).to_string();
    for encoding in ["gzip", "deflate"] {
        for plain in [infer("adder", v2.clone()), Request::predict("adder", v1.clone())] {
            let expected = server.ask(&plain);
            assert_eq!((expected.status, expected.header("content-encoding")), (200, None));
            let both = plain.clone().header("accept-encoding", encoding);
            let body = if plain.bytes().ends_with(v2.as_bytes()) { &v2 } else { &v1 };
            let both =
                both.header("content-encoding", encoding).body(packed(encoding, body.as_bytes()));
            let answer = server.ask(&both);
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.header("content-encoding"), Some(encoding));
            assert_eq!(answer.header("x-model-version"), Some("1"));
            assert_eq!(unpacked(encoding, &answer.body), expected.body);
        }
    }
}

#[test]
fn lengths_mean_what_there_is_before_it_is_compressed() {
    const TEXT_LENGTH: &str = "inference-header-content-length";
    let server = TestServer::with_models(Models::made().file("adder.onnx", adder(0.5))).start();
    let text = json!({
        "inputs": [{
            "name": "X", "datatype": "FP32", "shape": [500, 2],
            "parameters": { "binary_data_size": 4000 },
        }],
        "parameters": { "binary_data_output": true },
    });
    let text = text.to_string();
    let body = [text.as_bytes(), &[0; 4000]].concat();
    let request = infer("adder", packed("gzip", &body))
        .header("content-encoding", "gzip")
        .header("accept-encoding", "deflate;q=0.9, gzip;q=0.1")
        .header(TEXT_LENGTH, &text.len().to_string());
    let answer = server.ask(&request);
    assert_eq!((answer.status, answer.header("content-encoding")), (200, Some("deflate")));
    let out = unpacked("deflate", &answer.body);
    let (_, bytes) = out.split_at(answer.header(TEXT_LENGTH).unwrap().parse().unwrap());
    assert_eq!(bytes, 0.5_f32.to_le_bytes().repeat(1000));
}

#[test]
fn a_small_answer_and_one_that_never_ends_stay_as_they_are() {
    let server = TestServer::with_models(Models::made().file("adder.onnx", adder(0.5))).start();
    let small = infer("adder", rows(1).to_string()).header("accept-encoding", "gzip");
    assert_eq!(server.ask(&small).header("content-encoding"), None);
    let models = Request::get("/v2/models").header("accept-encoding", "gzip");
    assert_eq!(server.ask(&models).ok(), json!({ "models": ["adder"] }));
    let metrics = Request::get("/metrics").header("accept-encoding", "gzip");
    let metrics = server.ask(&metrics);
    assert_eq!(metrics.header("content-encoding"), Some("gzip"));
    let text = String::from_utf8(unpacked("gzip", &metrics.body)).unwrap();
    assert!(text.contains("greenroom_requests_total"), "{text}");
}

#[test]
fn a_few_bytes_that_stand_for_very_many_are_refused_at_the_limit() {
    let server = TestServer::with_models(Models::made().file("adder.onnx", adder(0.5)))
        .settings("[http]\nmax_body = \"1MiB\"\n")
        .start();
    for encoding in ["gzip", "deflate"] {
        let bomb = packed(encoding, &vec![b' '; 200 << 20]);
        assert!(bomb.len() < 1 << 20);
        for request in [infer("adder", bomb.clone()), Request::predict("adder", bomb.clone())] {
            let answer = server.ask(&request.header("content-encoding", encoding));
            assert_eq!(answer.status, 413, "{}", answer.text());
            assert_eq!(answer.json()["code"], "body_too_large");
        }
    }
    let cut = &packed("gzip", rows(1).to_string().as_bytes())[..40];
    let answer = server.ask(&infer("adder", cut).header("content-encoding", "gzip"));
    assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("malformed_encoding")));
    assert_eq!(server.ask(&infer("adder", rows(1).to_string())).status, 200);
}
