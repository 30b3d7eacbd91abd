//! Many inferences in one call.

use futures_util::{StreamExt, stream};

use super::{Caller, numbers_of, row};
use crate::support::{Models, TestServer, adder};

#[test]
fn every_request_of_a_stream_is_answered_in_its_order_also_one_that_is_wrong() {
    let server = TestServer::with_models(Models::made().file("adder.onnx", adder(1.0))).start();
    let caller = Caller::of(&server);
    let messages: Vec<_> = (0..50_u16)
        .map(|number| {
            let mut message = row([f32::from(number), 0.0]);
            message.id = number.to_string();
            if number % 7 == 3 {
                message.model_name = "other".into();
            }
            message
        })
        .collect();
    let answers: Vec<_> = caller.wait(async {
        let answers = caller.client().model_stream_infer(stream::iter(messages)).await.unwrap();
        answers.into_inner().map(Result::unwrap).collect().await
    });
    assert_eq!(answers.len(), 50);
    for (number, answer) in (0..50_u16).zip(answers) {
        let reply = answer.infer_response.unwrap();
        assert_eq!(reply.id, number.to_string());
        if number % 7 == 3 {
            assert!(answer.error_message.contains("`other`"), "{}", answer.error_message);
        } else {
            assert_eq!(answer.error_message, "");
            let expected = [f32::from(number) + 1.0, 1.0];
            assert_eq!(numbers_of(&reply.raw_output_contents[0]), expected);
        }
    }
}
