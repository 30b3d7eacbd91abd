//! Whatever the bytes are, there is an answer.

use proptest::prelude::*;

use super::*;

/// A change of a good model: what is written where, and what is cut out there.
#[derive(Clone, Debug)]
struct Edit {
    at: prop::sample::Index,
    write: Vec<u8>,
    cut: usize,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..4), 0..4_usize)
        .prop_map(|(at, write, cut)| Edit { at, write, cut });
    prop::collection::vec(edit, 1..8)
}

fn models() -> Vec<Vec<u8>> {
    let small = models_below("tests/models").into_iter().map(|path| std::fs::read(path).unwrap());
    small.filter(|model| model.len() < 4000).collect()
}

proptest! {
    #[test]
    fn any_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = verdict(&bytes);
    }

    #[test]
    fn any_change_of_a_model_gets_an_answer(which: prop::sample::Index, edits in edits()) {
        let models = models();
        let mut model = which.get(&models).clone();
        for Edit { at, write, cut } in edits {
            if model.is_empty() {
                break;
            }
            let at = at.index(model.len());
            let end = (at + cut).min(model.len());
            model.splice(at..end, write);
        }
        if let Err(error) = verdict(&model) {
            let sentence = error.to_string();
            prop_assert!(sentence.len() < 4000 && !sentence.contains(char::is_control), "{}", sentence);
        }
    }

    #[test]
    fn how_the_file_is_read_makes_no_difference(edits in edits(), which: prop::sample::Index) {
        // A window that is moved at every step against one that holds the whole file.
        let models = models();
        let mut model = which.get(&models).clone();
        for Edit { at, write, .. } in edits {
            let at = at.index(model.len());
            let end = (at + write.len()).min(model.len());
            model.splice(at..end, write);
        }
        let trickle = Trickle(Cursor::new(&model[..]));
        let limits = ContractLimits::default();
        let slowly = check_file(trickle, model.len() as u64, Path::new("/nonexistent"), &limits);
        prop_assert_eq!(format!("{:?}", verdict(&model)), format!("{slowly:?}"));
    }
}

/// Gives one byte at a time.
struct Trickle<R>(R);

impl<R: Read> Read for Trickle<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = buffer.len().min(1);
        self.0.read(&mut buffer[..most])
    }
}

impl<R: Seek> Seek for Trickle<R> {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}
