//! Where in the request the decoder stands, so that an error can say `instances[3][1]`.

use std::fmt;

use crate::domain::wording::printable;

/// The largest part of a client's own words that an error repeats, in characters.
const SHOWN: usize = 60;

/// The steps from the root of the JSON text to the present value.
///
/// A step is not taken back when something goes wrong below it: so the trail of a failed decode ends at the
/// offending element.
#[derive(Debug, Default)]
pub(in crate::api) struct Trail<'s> {
    steps: Vec<Step<'s>>,
    problem: Option<Problem>,
}

#[derive(Debug)]
enum Step<'s> {
    /// A name that the protocol or the model gives: kept without a copy, as each row enters it.
    Known(&'s str),
    /// A name that only the client knows, shortened.
    Unknown(String),
    Index(usize),
}

/// What is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api) enum Problem {
    /// It is not what the model or the protocol expects.
    Unfit(String),
    /// It is larger than a request may be.
    TooLarge(String),
}

impl<'s> Trail<'s> {
    /// Goes into a member of an object.
    pub(in crate::api) fn enter(&mut self, key: &'s str) {
        self.steps.push(Step::Known(key));
    }

    /// Goes into a member that does not belong there. The key is [`shortened`] already.
    pub(in crate::api) fn enter_unknown(&mut self, key: String) {
        self.steps.push(Step::Unknown(key));
    }

    /// Goes into an array; [`at`](Self::at) says where.
    pub(in crate::api) fn enter_array(&mut self) {
        self.steps.push(Step::Index(0));
    }

    /// Moves to an element of the array that was entered last.
    pub(in crate::api) fn at(&mut self, index: usize) {
        if let Some(Step::Index(present)) = self.steps.last_mut() {
            *present = index;
        }
    }

    /// Goes back out.
    pub(in crate::api) fn leave(&mut self) {
        self.steps.pop();
    }

    /// Remembers what is wrong here, and gives the error that ends the decoding. The first problem stays.
    pub(in crate::api) fn fail<E: serde::de::Error>(&mut self, problem: Problem) -> E {
        self.problem.get_or_insert(problem);
        E::custom("see the trail")
    }

    /// [`fail`](Self::fail) with something that does not fit.
    pub(in crate::api) fn unfit<E: serde::de::Error>(&mut self, sentence: impl Into<String>) -> E {
        self.fail(Problem::Unfit(sentence.into()))
    }

    /// What was remembered.
    pub(in crate::api) fn take_problem(&mut self) -> Option<Problem> {
        self.problem.take()
    }

    /// How many arrays and objects the present value lies in.
    pub(in crate::api) fn depth(&self) -> usize {
        self.steps.len()
    }
}

impl fmt::Display for Trail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.steps.iter().enumerate() {
            if position > 0 && !matches!(step, Step::Index(_)) {
                f.write_str(".")?;
            }
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Known(key) => f.write_str(&shortened(key))?,
                Step::Unknown(key) => f.write_str(key)?,
            }
        }
        Ok(())
    }
}

/// A client's words, short enough and printable, for an error message.
pub(in crate::api) fn shortened(text: &str) -> String {
    printable(text, SHOWN)
}

/// `; did you mean …?` where one of the known names is near.
pub(in crate::api) fn did_you_mean<'a>(
    wrong: &str,
    known: impl Iterator<Item = &'a str>,
) -> String {
    // Comparing is slow, and a mistake must not cost more than an answer where a model has thousands of names.
    const COMPARED: usize = 500;
    let wrong = shortened(wrong);
    known
        .take(COMPARED)
        .filter_map(|name| Some((distance_when_near(&wrong, name)?, name)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| format!("; did you mean `{}`?", shortened(name)))
        .unwrap_or_default()
}

/// How many typing mistakes lie between the two, when they are few for a name of this length.
fn distance_when_near(wrong: &str, name: &str) -> Option<usize> {
    let (length, most) = (name.chars().count(), name.chars().count().div_ceil(3));
    // A difference in length is a distance already, and quickly seen.
    if length.abs_diff(wrong.chars().count()) > most {
        return None;
    }
    Some(strsim::damerau_levenshtein(wrong, name)).filter(|distance| *distance <= most)
}

/// Names in a row, as many as a person reads.
pub(in crate::api) fn listed<'a>(names: impl Iterator<Item = &'a str> + Clone) -> String {
    const MOST: usize = 20;
    let shown: Vec<String> =
        names.clone().take(MOST).map(|name| format!("`{}`", shortened(name))).collect();
    let hidden = names.count().saturating_sub(MOST);
    if hidden == 0 { shown.join(", ") } else { format!("{} and {hidden} more", shown.join(", ")) }
}

/// A number of things: `1 element`, `2 elements`.
pub(in crate::api) fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trail_reads_like_the_path_of_the_element() {
        let mut trail = Trail::default();
        trail.enter("instances");
        trail.enter_array();
        trail.at(3);
        trail.enter("hue");
        assert_eq!(trail.to_string(), "instances[3].hue");
        trail.leave();
        trail.enter_array();
        trail.at(1);
        assert_eq!(trail.to_string(), "instances[3][1]");
    }

    #[test]
    fn a_near_name_is_offered_and_a_far_one_is_not() {
        let known = || ["sepal_length", "sepal_width"].into_iter();
        assert_eq!(did_you_mean("sepal_lenght", known()), "; did you mean `sepal_length`?");
        assert_eq!(did_you_mean("colour", known()), "");
    }
}
