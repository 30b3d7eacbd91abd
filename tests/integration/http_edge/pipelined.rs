//! Requests that are sent before the answers to those before them have come.

use serde_json::json;

use super::{Good, server};
use crate::support::Request;

const REQUESTS: usize = 10_000;

#[test]
fn ten_thousand_requests_on_one_connection_are_answered_in_order_while_others_are_too() {
    let server = server("");
    let mut good = Good::of(&server);
    let mut reader = server.connect();
    let mut writer = reader.another();
    good.ask_during(20, || {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..REQUESTS {
                    let body = json!({ "instances": [[number, 0]] }).to_string();
                    writer.write(&Request::predict("m", body).bytes()).unwrap();
                }
            });
            for number in 0..REQUESTS {
                let answer = reader.read_answer(false).unwrap();
                let expected = json!({ "predictions": [[(number + 1) as f64, 1.0]] });
                assert_eq!((answer.status, answer.json()), (200, expected), "{number}");
            }
        });
    });
}
