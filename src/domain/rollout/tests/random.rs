//! Any events in any order.

use proptest::prelude::{Just, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Strategy as _;

use super::*;

fn any_event() -> impl proptest::strategy::Strategy<Value = Event> {
    let label = prop_oneof![Just("flat"), Just("1"), Just("2"), Just("3"), Just("10")];
    let content = 1..6u8;
    let verb = prop_oneof![
        Just(Verb::Start),
        Just(Verb::Promote),
        Just(Verb::Pause),
        Just(Verb::Resume),
        Just(Verb::Abort),
        Just(Verb::Undo),
        Just(Verb::Retry)
    ];
    let decision =
        prop_oneof![Just(Decision::Pass), Just(Decision::Fail), Just(Decision::Inconclusive)];
    prop_oneof![
        2 => decision.prop_map(|decision| {
            let reason = "the pairs say so".to_owned();
            Event::Judged(Judgement { decision, reason, pairs: 500 })
        }),
        4 => (label.clone(), content.clone()).prop_map(|(label, content)| {
            Event::Seen(vec![Seen { place: place(label), digest: digest(content) }])
        }),
        6 => content.clone().prop_map(|content| Event::Loaded(digest(content))),
        1 => content.clone().prop_map(|content| {
            Event::LoadFailed(digest(content), LoadFailure::Broken("broken".to_owned()))
        }),
        1 => (content.clone(), 1..8u64, proptest::bool::ANY).prop_map(|(content, rollout, is_marked)| {
            crashes::died_of(content, rollout, is_marked)
        }),
        1 => label.clone().prop_map(|label| Event::Gone(place(label))),
        1 => Just(Event::AllGone),
        2 => Just(Event::Tick),
        3 => (verb, proptest::option::of(label)).prop_map(|(verb, label)| {
            command(verb, label.filter(|label| *label != "flat"))
        }),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_state_is_sound(
        events in proptest::collection::vec((any_event(), 0..20u64), 1..60),
        strategy in prop_oneof![Just(Strategy::BlueGreen), Just(Strategy::Shadow)],
    ) {
        let mut story = Story::new();
        story.plan.strategy = strategy;
        for (event, minutes) in events {
            story.clock += Duration::from_secs(minutes * 60);
            let before = story.release.clone();
            let told = story.told.len();
            let result = story.tell(event);
            let release = &story.release;
            if result.is_err() {
                prop_assert_eq!(&before, release, "a refused command changes nothing");
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
            // What answers and what may be gone back to are two contents.
            if let Some(Route { stable, previous: Some(previous), .. }) = release.route() {
                prop_assert!(stable.digest != previous.digest);
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
            // What is written down is all there is.
            let written = serde_json::to_string(release).unwrap();
            let read: Release = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(read.stable(), release.stable());
            prop_assert_eq!(read.labels(), release.labels());
            prop_assert_eq!(read.verbs(), release.verbs());
        }
    }
}
