use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, header};
use http_body_util::BodyExt;

use super::*;
use crate::delivery::{Announcement, CommandError};
use crate::domain::model::{Digest, VersionLabel};
use crate::domain::rollout::{
    Actor, Command, Context, Event, LoadFailure, Place, Plan, Release, Seen, Strategy, Transition,
    Verb,
};
use crate::domain::time::{Moment, WallTime};
use crate::domain::weight::Weight;

/// The releases of a model, on a clock that the test turns.
#[derive(Default)]
struct Story {
    release: Release,
    told: Vec<Transition>,
    rollouts: u64,
    seconds: u64,
}

impl Story {
    fn happens(&mut self, event: Event) -> &mut Self {
        let wall = WallTime(1_790_000_000_000 + self.seconds * 1000);
        let now = Moment { monotonic: Duration::from_secs(self.seconds), wall };
        let plan = Plan::default();
        let next_id = RolloutId(self.rollouts + 1);
        let step = self
            .release
            .step(event, Context { now, plan: &plan, next_id, has_recordings: false })
            .unwrap();
        self.rollouts += u64::from(step.used.is_some());
        self.told.extend(step.transitions);
        self.seconds += 1;
        self
    }

    fn file(&mut self, version: u8) -> &mut Self {
        let place = Place::Labelled(label(version));
        self.happens(Event::Seen(vec![Seen { place, digest: digest(version) }]))
    }

    fn loads(&mut self, version: u8) -> &mut Self {
        self.happens(Event::Loaded(digest(version)))
    }

    fn command(&mut self, verb: Verb) -> &mut Self {
        let actor = Actor::Operator("ada".to_owned());
        self.happens(Event::Command(Command::plain(verb, actor, "odd".into())))
    }

    fn view(&self) -> ReleaseView {
        let seq = self.told.len() as u64;
        ReleaseView { seq, release: Arc::new(self.release.clone()), is_recorded: true }
    }

    fn json(&self) -> Value {
        current("iris", &self.view()).unwrap()
    }

    fn past(&self, rollout: u64) -> Value {
        let numbered = (1..).zip(&self.told);
        let of_it = numbered.filter(|(_, one)| one.rollout.id == RolloutId(rollout));
        let (seq, last) = of_it.last().unwrap();
        let past = RolloutHistory { rollout: last.rollout.clone(), seq };
        view::past("iris", &past, Some(&self.view()))
    }
}

fn digest(content: u8) -> Digest {
    Digest::from_bytes([content; 32])
}

fn label(version: u8) -> VersionLabel {
    version.to_string().parse().unwrap()
}

fn baking() -> Story {
    let mut story = Story::default();
    story.file(1).loads(1).file(2).loads(2);
    story
}

/// Status and body.
fn shown(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let body = runtime.block_on(response.into_body().collect()).unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[test]
fn a_rollout_is_told_with_all_that_the_surface_promises() {
    let expected = json!({
        "seq": 4, "id": "r-000002", "parent": null, "model": "iris", "strategy": "blue-green",
        "stable": "1", "candidate": "2", "phase": "baking", "stage": "bake",
        "step": null, "steps": [], "weight": 100,
        "since": "2026-09-21T14:13:23.000Z", "started": "2026-09-21T14:13:22.000Z",
        "verdict": null, "gates": [], "counts": null, "proven": null,
        "verbs": ["promote", "pause", "abort", "undo", "start"],
        "reason": "loaded and warm; it has all traffic", "actor": "file", "bake_s": 600,
        "digests": { "stable": digest(1).to_string(), "candidate": digest(2).to_string() },
    });
    assert_eq!(baking().json(), expected);
}

#[test]
fn weight_stage_and_proof_follow_the_phase() {
    let told = |story: &Story| {
        let json = story.json();
        ["phase", "stage", "weight", "proven"].map(|key| json[key].clone())
    };
    let mut story = baking();
    story.file(3);
    assert_eq!(told(&story), [json!("loading"), json!("load"), json!(0), Value::Null]);
    story.happens(Event::LoadFailed(digest(3), LoadFailure::Broken("cut off".into())));
    assert_eq!(told(&story), [json!("refused"), Value::Null, json!(0), Value::Null]);
    let mut story = baking();
    story.command(Verb::Promote);
    assert_eq!(told(&story), [json!("completed"), Value::Null, json!(100), json!(false)]);
    story.command(Verb::Undo).loads(1);
    assert_eq!(told(&story), [json!("completed"), Value::Null, json!(100), json!(false)]);
    assert_eq!(
        (&story.json()["parent"], &story.json()["stable"]),
        (&json!("r-000002"), &json!("2"))
    );
    let mut story = baking();
    story.command(Verb::Abort);
    assert_eq!(told(&story), [json!("aborted"), Value::Null, json!(0), Value::Null]);
}

#[test]
fn a_rollout_of_the_past_can_no_longer_be_changed() {
    let mut story = baking();
    assert_eq!(story.past(2), story.json(), "the present one is told as it is now");
    story.command(Verb::Abort).command(Verb::Retry);
    let past = story.past(2);
    let told = ["seq", "phase", "reason", "verbs"].map(|key| past[key].clone());
    assert_eq!(told, [json!(5), json!("aborted"), json!("odd"), json!([])]);
}

#[test]
fn a_change_is_told_with_the_verbs_of_the_moment_only_while_it_is_the_last() {
    let story = baking();
    let change = |seq: u64| Announcement {
        seq,
        model: "iris".parse().unwrap(),
        transition: story.told[seq as usize - 1].clone(),
    };
    let view = story.view();
    assert_eq!(changed(&change(4), Some(&view)), story.json());
    let earlier = changed(&change(3), Some(&view));
    assert_eq!((&earlier["phase"], &earlier["verbs"]), (&json!("loading"), &json!([])));
}

#[test]
fn a_transition_is_told_with_who_when_and_why() {
    let told = transition_document("iris", 4, &baking().told[3]);
    let expected = json!({
        "seq": 4, "at": "2026-09-21T14:13:23.000Z", "model": "iris", "rollout": "r-000002",
        "stable": "1", "candidate": "2", "from": "loading", "to": "baking",
        "actor": "server", "reason": "loaded and warm; it has all traffic",
    });
    assert_eq!(told, expected);
}

#[test]
fn a_request_says_who_why_and_which_version() {
    let (ada, why) = (Actor::Operator("ada".to_owned()), "labels are swapped, see #7".to_owned());
    let undo = Command { version: Some(label(1)), ..Command::plain(Verb::Undo, ada, why) };
    let body = r##"{ "actor": "ada", "reason": " labels are swapped,\nsee #7", "to": "1" }"##;
    assert_eq!(command::read(Verb::Undo, body.as_bytes()), Ok(undo));
    let start = command::read(Verb::Start, br#"{ "version": "3", "strategy": "blue-green" }"#);
    let start = start.unwrap();
    assert_eq!((start.version, start.strategy), (Some(label(3)), Some(Strategy::BlueGreen)));
    let weight = command::read(Verb::Weight, br#"{ "weight": 12.5 }"#).unwrap().weight;
    assert_eq!(weight, Weight::from_per_cent(12.5).ok());
    assert!(command::read(Verb::Promote, br#"{ "full": true }"#).unwrap().full);
    assert!(command::read(Verb::Retry, br#"{ "fresh": true }"#).unwrap().fresh);
}

#[test]
fn a_request_need_not_say_anything() {
    for body in ["", " \n", "{}", r#"{ "reason": "", "actor": null }"#] {
        let actor = Actor::Operator("operator".to_owned());
        let expected = Command::plain(Verb::Abort, actor, "no reason was given".to_owned());
        assert_eq!(command::read(Verb::Abort, body.as_bytes()), Ok(expected), "{body}");
    }
}

#[test]
fn what_would_have_no_effect_is_not_taken_silently() {
    for (verb, body, sentence) in [
        (Verb::Start, r#"{ "to": "1" }"#, "`to` is for `undo`, not for `start`"),
        (Verb::Undo, r#"{ "version": "1" }"#, "`version` is for `start`, not for `undo`"),
        (Verb::Abort, r#"{ "full": true }"#, "`full` is for `promote`, not for `abort`"),
        (Verb::Promote, r#"{ "weight": 5 }"#, "`weight` is for `weight`, not for `promote`"),
        (
            Verb::Retry,
            r#"{ "strategy": "blue-green" }"#,
            "`strategy` is for `start`, not for `retry`",
        ),
        (
            Verb::Start,
            r#"{ "strategy": "purple" }"#,
            "the body cannot be understood: unknown variant `purple`, expected one of `recreate`, \
             `blue-green`, `canary`, `shadow` at line 1 column 22",
        ),
        (
            Verb::Weight,
            r#"{ "weight": 101 }"#,
            "`weight`: expected a share in per cent, from 0 to 100",
        ),
        (Verb::Weight, "", "`weight` needs the share in per cent, from 0 to 100"),
        (
            Verb::Undo,
            r#"{ "to": "latest" }"#,
            "the body cannot be understood: `latest` is not a version: the word is reserved for \
             routing at line 1 column 18",
        ),
    ] {
        let problem = command::read(verb, body.as_bytes()).unwrap_err();
        let (status, told) = shown(problem.into_response());
        assert_eq!((status, told["error"].as_str()), (400, Some(sentence)));
    }
    let long = json!({ "reason": "x".repeat(1001) }).to_string();
    let (status, told) =
        shown(command::read(Verb::Abort, long.as_bytes()).unwrap_err().into_response());
    assert_eq!((status, &told["error"]), (400, &json!("`reason` is longer than 1000 characters")));
    let (status, told) =
        shown(command::read(Verb::Abort, br#"{ "fresh": 1 }"#).unwrap_err().into_response());
    assert_eq!((status, &told["code"]), (400, &json!("invalid_body")));
}

#[test]
fn the_path_says_what_is_to_be_done() {
    assert_eq!(command::verb("undo"), Ok(Verb::Undo));
    assert_eq!(command::verb("weight"), Ok(Verb::Weight));
    let (status, told) = shown(command::verb("explode").unwrap_err().into_response());
    let sentence = "a rollout knows start, promote, pause, resume, weight, abort, undo, retry, not \
                    what was asked for";
    assert_eq!((status, told), (404, json!({ "error": sentence, "code": "no_such_verb" })));
}

#[test]
fn a_caller_may_insist_on_what_it_has_seen() {
    let of = |tag: &'static str| {
        IfMatch::of(&HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_static(tag))]))
    };
    assert_eq!(IfMatch::of(&HeaderMap::new()), IfMatch::Any);
    assert_eq!(
        (of("*"), of("\"41\""), of("41")),
        (IfMatch::Any, IfMatch::Seq(41), IfMatch::Seq(41))
    );
    assert_eq!(of("\"0123456789abcdef\""), IfMatch::Nothing, "the tag of another answer");
}

#[test]
fn a_refusal_says_what_would_fit() {
    let mut story = baking();
    let wish = Command::plain(Verb::Retry, Actor::Operator("ada".to_owned()), "odd".to_owned());
    let now = Moment { monotonic: Duration::ZERO, wall: WallTime(0) };
    let context =
        Context { now, plan: &Plan::default(), next_id: RolloutId(9), has_recordings: false };
    let refused = story.release.step(Event::Command(wish), context).unwrap_err();
    let sentence = "`retry` does not fit: rollout r-000002 of version 2 is baking; \
                    what fits: `promote`, `pause`, `abort`, `undo`, `start`";
    let verbs = json!(["promote", "pause", "abort", "undo", "start"]);
    let expected = json!({ "error": sentence, "code": "verb_does_not_fit", "verbs": verbs });
    assert_eq!(shown(command::refusal("iris", refused.into())), (409, expected));
}

#[test]
fn a_version_that_is_tried_again_is_told_with_its_rollout() {
    let mut story = baking();
    let broken = LoadFailure::Broken("cut off".to_owned());
    story.file(3).happens(Event::LoadFailed(digest(3), broken));
    let mut wish = command::read_retry(label(3), br#"{ "actor": "ada" }"#).unwrap();
    story.happens(Event::Command(wish.clone()));
    let told = |version| quarantine::lifted("iris", &label(version), &story.view());
    let digests = [2, 3].map(|content| digest(content).to_string());
    let expected = json!({
        "seq": 8, "model": "iris", "version": "3", "digest": digests[1], "rollout": "r-000004",
    });
    assert_eq!(told(3), expected);
    assert_eq!((&told(2)["digest"], &told(2)["rollout"]), (&json!(digests[0]), &Value::Null));
    wish.version = Some(label(1));
    let now = Moment { monotonic: Duration::ZERO, wall: WallTime(0) };
    let context =
        Context { now, plan: &Plan::default(), next_id: RolloutId(9), has_recordings: false };
    let refused = story.release.step(Event::Command(wish), context).unwrap_err();
    let sentence = "`retry` does not fit: version 1 is neither quarantined nor refused; what fits: `rollout abort`, \
                    `rollout start`";
    let expected = json!({
        "error": sentence, "code": "verb_does_not_fit", "verbs": ["abort", "start"], "versions": [],
    });
    assert_eq!(shown(command::refusal("iris", refused.into())), (409, expected));
}

#[test]
fn there_is_nothing_to_be_said_of_a_version_beside_who_and_why() {
    let problem = command::read_retry(label(3), br#"{ "fresh": true }"#).unwrap_err();
    let (status, told) = shown(problem.into_response());
    let sentence = "`fresh` is for `retry` of a rollout, not for `retry` of a version";
    assert_eq!((status, &told["error"]), (400, &json!(sentence)));
}

#[test]
fn each_reason_why_nothing_happened_has_a_status() {
    let unknown = crate::domain::rollout::CommandRefused::UnknownVersion {
        version: label(9),
        known: vec![label(1), label(2)],
    };
    for (error, expected, code) in [
        (CommandError::UnknownModel, 404, "no_such_model"),
        (CommandError::Refused(unknown), 404, "no_such_version"),
        (CommandError::Stale { seq: 43 }, 412, "stale"),
        (CommandError::NotRecorded("the disk is full".to_owned()), 503, "not_recorded"),
        (CommandError::ShuttingDown, 503, "shutting_down"),
    ] {
        let (status, told) = shown(command::refusal("iris", error));
        assert_eq!((status, told["code"].as_str()), (expected, Some(code)));
    }
    let stale = command::stale(43);
    assert_eq!(stale.headers()[header::ETAG], "\"43\"");
    let sentence = "the rollout has changed since you looked: its last change is 43";
    assert_eq!(shown(stale), (412, json!({ "error": sentence, "code": "stale", "seq": 43 })));
}

#[test]
fn parameters_are_read_from_the_query() {
    let uri = |text: &'static str| Uri::from_static(text);
    assert!(asks_to_watch(&uri("/?watch=1")) && asks_to_watch(&uri("/?a=b&watch")));
    assert!(!asks_to_watch(&uri("/?watch=0")) && !asks_to_watch(&uri("/")));
    assert_eq!((limit(&uri("/")), limit(&uri("/?limit=7"))), (Ok(50), Ok(7)));
    assert!(limit(&uri("/?limit=0")).is_err() && limit(&uri("/?limit=many")).is_err());
}
