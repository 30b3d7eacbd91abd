//! Decoder and reference agree on every request.

use proptest::prelude::*;

use super::reference::{self, Tree};
use super::requests::{self, choices};
use super::{DecodeError, Decoded, Model};

/// Both accept the body and read the same from it, or both refuse it.
fn assert_agreement(model: &Model, body: &str) -> Result<(), TestCaseError> {
    let (decoded, expected) = (model.decode(body), reference::decode(body, model));
    // As text, because there `NaN` is `NaN` and a negative zero is not zero.
    let shown = |decoded: Option<&Decoded>| format!("{decoded:?}");
    prop_assert_eq!(
        shown(decoded.as_ref().ok()),
        shown(expected.as_ref()),
        "{} for {:?}: {:?}",
        body,
        model,
        decoded.as_ref().err()
    );
    if let Err(error) = decoded {
        assert_sentence(&error, body)?;
    }
    Ok(())
}

/// A refusal says where: its path leads to something in the body, or it is about the whole body.
fn assert_sentence(error: &DecodeError, body: &str) -> Result<(), TestCaseError> {
    let tree = Tree::parse(body);
    let sentence = match error {
        DecodeError::Malformed(sentence) => {
            prop_assert!(tree.is_none(), "{} is not malformed: {}", body, sentence);
            return Ok(());
        }
        DecodeError::Unfit(sentence) | DecodeError::TooLarge(sentence) => sentence,
    };
    let about_the_whole = [
        "`instances` or `inputs` is missing",
        "give `instances` or `inputs`, one of them and once",
        "expected an object with `instances` or `inputs`, got ",
    ];
    let is_about_the_whole = about_the_whole.iter().any(|whole| sentence.starts_with(whole));
    if let Some(tree) = tree.filter(|_| !is_about_the_whole) {
        prop_assert!(tree.has_path_of(sentence), "{} has no place for: {}", body, sentence);
    }
    Ok(())
}

fn has_name(model: &Model, name: &str) -> bool {
    model.naming.features.iter().any(|feature| feature == name)
        || model.signature.inputs.iter().any(|input| input.name == name)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_fitting_request_is_read_as_the_reference_reads_it(mut choices in choices()) {
        let model = requests::model(&mut choices);
        let request = requests::fitting(&mut choices, &model);
        let body = requests::written(&mut choices, &request);
        // Where `b64` is a name, a text in base64 is taken for something with this name.
        if model.limits == Default::default() && !has_name(&model, "b64") {
            let decoded = model.decode(&body);
            prop_assert!(decoded.is_ok(), "{} for {:?}: {:?}", body, model, decoded);
        }
        assert_agreement(&model, &body)?;
    }

    #[test]
    fn a_damaged_request_is_judged_as_the_reference_judges_it(mut choices in choices(), damages in 1..4) {
        let model = requests::model(&mut choices);
        let mut request = requests::fitting(&mut choices, &model);
        for _ in 0..damages {
            requests::mutate(&mut choices, &mut request);
        }
        assert_agreement(&model, &requests::written(&mut choices, &request))?;
    }

    #[test]
    fn a_damaged_text_is_judged_as_the_reference_judges_it(mut choices in choices(), damages in 1..3) {
        let model = requests::model(&mut choices);
        let request = requests::fitting(&mut choices, &model);
        let mut body = requests::written(&mut choices, &request);
        for _ in 0..damages {
            requests::damage(&mut choices, &mut body);
        }
        assert_agreement(&model, &body)?;
    }

    #[test]
    fn no_bytes_make_it_panic(
        mut choices in choices(),
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        place in 0..200_usize,
    ) {
        let model = requests::model(&mut choices);
        let request = requests::fitting(&mut choices, &model);
        let mut body = requests::written(&mut choices, &request).into_bytes();
        let _ = model.decode(&bytes);
        body.splice(place.min(body.len())..(place + bytes.len() / 2).min(body.len()), bytes);
        let _ = model.decode(&body);
    }
}
