//! Any events in any order.

use proptest::prelude::{Just, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy as _;

use super::*;
use crate::domain::signature::SignatureRule;
use crate::domain::weight::Weight;

fn any_event() -> impl proptest::strategy::Strategy<Value = Event> {
    let label = prop_oneof![Just("flat"), Just("1"), Just("2"), Just("3"), Just("10")];
    let content = 1..6u8;
    let verb = prop_oneof![
        Just(Verb::Start),
        Just(Verb::Promote),
        Just(Verb::Pause),
        Just(Verb::Resume),
        Just(Verb::Weight),
        Just(Verb::Abort),
        Just(Verb::Undo),
        Just(Verb::Retry)
    ];
    let decision = prop_oneof![
        6 => Just(Decision::Pass),
        1 => Just(Decision::Fail),
        1 => Just(Decision::Hold),
        1 => Just(Decision::Inconclusive)
    ];
    prop_oneof![
        6 => (decision, 0..4u32).prop_map(|(decision, epoch)| {
            Event::Judged(judgement(decision, epoch))
        }),
        4 => (label.clone(), content.clone()).prop_map(|(label, content)| {
            Event::Seen(vec![Seen { place: place(label), digest: digest(content) }])
        }),
        6 => content.clone().prop_map(|content| Event::Loaded(digest(content))),
        1 => content.clone().prop_map(|content| {
            Event::LoadFailed(digest(content), LoadFailure::Broken("broken".to_owned()))
        }),
        2 => content.clone().prop_map(|content| {
            Event::LoadFailed(digest(content), LoadFailure::Unfit("it does not fit".to_owned()))
        }),
        1 => content.clone().prop_map(|content| {
            Event::LoadFailed(digest(content), LoadFailure::Passing("too slow".to_owned()))
        }),
        1 => content.clone().prop_map(|content| {
            Event::LoadFailed(digest(content), LoadFailure::NoRoom("too large".to_owned()))
        }),
        4 => Just(Event::Rehearsed("nothing against it".to_owned())),
        1 => Just(Event::RoomMade),
        1 => Just(Event::SettingsChanged),
        1 => (content.clone(), 1..8u64, proptest::bool::ANY).prop_map(|(content, rollout, is_marked)| {
            crashes::died_of(content, rollout, is_marked)
        }),
        1 => label.clone().prop_map(|label| Event::Gone(place(label))),
        1 => Just(Event::AllGone),
        1 => Just(withdrawn::withdrawn()),
        1 => Just(withdrawn::wanted_again()),
        2 => Just(Event::Tick),
        3 => (verb, proptest::option::of(label), 0..=100u8).prop_map(|(verb, label, weight)| {
            let label = label.filter(|label| *label != "flat");
            let Event::Command(command) = command(verb, label) else { unreachable!() };
            Event::Command(Command { weight: Some(Weight::whole(weight)), ..command })
        }),
    ]
}

/// Whether a content is quarantined or refused.
fn is_held(release: &Release, digest: &Digest) -> bool {
    release.broken(digest).or(release.unfit(digest)).is_some()
        || release.backoff.contains_key(digest)
}

/// Whether an event may give the candidate more traffic.
fn leads_on(event: &Event) -> bool {
    match event {
        Event::Command(command) => {
            matches!(command.verb, Verb::Promote | Verb::Weight)
        }
        Event::Judged(judgement) => judgement.decision == Decision::Pass,
        // It is loaded, or rehearsed, or the plan promotes when no verdict comes.
        Event::Loaded(_) | Event::Rehearsed(_) => true,
        Event::Seen(_)
        | Event::Gone(_)
        | Event::AllGone
        | Event::LoadFailed(..)
        | Event::Crashed(_)
        | Event::Withdrawn { .. }
        | Event::WantedAgain { .. }
        | Event::RoomMade
        | Event::SettingsChanged
        | Event::Tick => false,
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_state_is_sound(
        events in proptest::collection::vec((any_event(), 0..20u64), 1..60),
        strategy in prop_oneof![
            Just(Strategy::BlueGreen),
            Just(Strategy::Shadow),
            Just(Strategy::Canary),
            Just(Strategy::Recreate)
        ],
        min_pairs in prop_oneof![Just(0), Just(500)],
        has_recordings in proptest::bool::ANY,
        rule in prop_oneof![
            Just(SignatureRule::Strict),
            Just(SignatureRule::Additive),
            Just(SignatureRule::Any)
        ],
    ) {
        let mut story = Story::new();
        story.plan.strategy = strategy;
        story.plan.pairs.min_pairs = min_pairs;
        story.has_recordings = has_recordings;
        story.plan.signature = rule;
        for (event, minutes) in events {
            story.clock += Duration::from_secs(minutes * 60);
            let before = story.release.clone();
            let told = story.told.len();
            let may_rise = leads_on(&event);
            let unfit = match &event {
                Event::LoadFailed(digest, LoadFailure::Unfit(_)) => Some(*digest),
                _ => None,
            };
            let is_wanted_again = matches!(event, Event::WantedAgain { .. });
            let lifted = match &event {
                Event::Command(Command { verb: Verb::Retry, version, .. }) => version.clone(),
                _ => None,
            };
            let result = story.tell(event);
            let release = &story.release;
            if result.is_err() {
                prop_assert_eq!(&before, release, "a refused command changes nothing");
            }
            // Only a candidate that is held to the stable version's signature is refused for its own.
            if let Some(digest) = unfit {
                prop_assert_eq!(before.stable(), release.stable());
                match before.contract(&digest) {
                    Some(_) => {
                        prop_assert_eq!(&release.rollout().unwrap().phase, &Phase::Ended(Outcome::Refused));
                        prop_assert!(release.unfit(&digest).is_some());
                    }
                    None => prop_assert_eq!(&before, release),
                }
            }
            // What is quarantined or refused is lifted by its label, and nothing else is; stable goes on answering.
            if let Some(label) = lifted {
                let digest = before.labels().get(&label).copied();
                let digest = digest.filter(|digest| is_held(&before, digest));
                let is_kept = [before.stable(), before.previous()];
                let is_kept = is_kept.into_iter().flatten().any(|kept| {
                    kept.label == label && is_held(&before, &kept.digest)
                });
                prop_assert!(result.is_ok() == digest.is_some() || is_kept, "{:?}", &result);
                prop_assert_eq!(before.stable(), release.stable());
                if let (Ok(()), Some(digest)) = (&result, digest) {
                    prop_assert!(!is_held(release, &digest));
                    prop_assert_eq!(release.why_not(&digest), None);
                    let is_tried = release.live().is_some_and(|it| it.candidate.digest == digest);
                    let is_newest = before.newest_released.as_ref().is_none_or(|it| label > *it);
                    let waits = before.live().is_some() || release.is_withdrawn();
                    let answers = before.stable().is_some_and(|stable| stable.digest == digest);
                    prop_assert!(is_tried || !is_newest || waits || answers);
                }
            }
            // An end is final: only another rollout comes after it.
            for transition in &story.told[told..] {
                if transition.from.is_none() {
                    continue;
                }
                let ended = story.told[..told].iter().any(|earlier| {
                    earlier.rollout.id == transition.rollout.id && !earlier.rollout.phase.is_live()
                });
                prop_assert!(!ended, "{transition:?}");
            }
            // Of what is unloaded nothing is loaded, until a rollout begins or an operator wants it again.
            if release.is_withdrawn() {
                prop_assert!(release.route().is_none() && release.live().is_none());
                prop_assert!(release.wanted(story.now()).is_empty());
            } else if before.is_withdrawn() {
                let is_asked = is_wanted_again || story.told.len() > told || release.labels().is_empty();
                prop_assert!(is_asked, "{before:?} -> {release:?}");
            }
            // What answers and what may be gone back to are two contents.
            if let Some(Route { stable, previous: Some(previous), .. }) = release.route() {
                prop_assert!(stable.digest != previous.digest);
            }
            // The candidate's share grows by an operator, by a passed gate, or by what the plan says of time that is
            // over; and each change of it is told.
            if let (Some(was), Some(is)) = (before.live(), release.live())
                && was.id == is.id
                && was.phase.weight() != is.phase.weight()
            {
                prop_assert!(may_rise || is.phase.weight() < was.phase.weight());
                prop_assert_eq!(is.epoch, was.epoch + 1);
                prop_assert_eq!(story.told.len(), told + 1, "one change, one record");
            }
            // What is being watched is what answers.
            let watched = release.live().filter(|rollout| matches!(rollout.phase, Phase::Baking(_)));
            if let Some(watched) = watched {
                prop_assert_eq!(release.stable(), Some(&watched.candidate));
            }
            // The route changes only by a rollout, by files that left, or by a loss; and is told.
            let is_withdrawn = release.stable().is_none();
            if before.stable() != release.stable() && before.stable().is_some() && !is_withdrawn {
                let is_told = story.told.len() > told;
                let is_loss = before.stable().is_some_and(|stable| release.broken(&stable.digest).is_some());
                prop_assert!(is_told || is_loss, "{before:?} -> {release:?}");
            }
            // What is compared is what answers and what is on its way, never a version with itself.
            if let Some(Route { stable, pair: Some(pair), .. }) = release.route() {
                prop_assert!(pair.stable.digest != pair.candidate.digest);
                prop_assert!([&pair.stable, &pair.candidate].contains(&&stable));
            }
            // What is told last is how it stands.
            if let [.., last] = &story.told[told..] {
                prop_assert_eq!(Some(&last.rollout), release.rollout());
            }
            // What is written down is all there is: whoever reads it goes on with the same.
            let mut written = release.clone();
            written.count_to(story.now());
            let text = serde_json::to_string(&written).unwrap();
            let mut read: Release = serde_json::from_str(&text).unwrap();
            read.resume(story.now());
            prop_assert_eq!(serde_json::to_string(&read).unwrap(), text);
            prop_assert_eq!(read.route(), release.route());
            prop_assert_eq!(read.verbs(), release.verbs());
            written.backoff.clear(); // what failed in passing is tried at once
            prop_assert_eq!(read.next_tick(), written.next_tick());
            prop_assert_eq!(read.wanted(story.now()), written.wanted(story.now()));
        }
    }
}
