//! What changes in the models' folder mean for the controller.

use std::collections::BTreeMap;

use super::controller::Controller;
use super::round::Happening;
use super::settings::Settings;
use crate::config::{ModelConfig, ModelTexts};
use crate::domain::model::ModelName;
use crate::domain::rollout::{Event, Seen};
use crate::repository::Sighting;

impl Controller {
    pub(super) fn read_sightings(&mut self, sightings: Vec<Sighting>) -> Vec<Happening> {
        let mut seen: BTreeMap<ModelName, Vec<Seen>> = BTreeMap::new();
        let mut happenings = Vec::new();
        let happening = |model, event| Happening { model, event, reply: None };
        for sighting in sightings {
            match sighting {
                Sighting::Stored { model, place, content, file } => {
                    self.fleet.stored(&model, content, file);
                    seen.entry(model).or_default().push(Seen { place, digest: content.digest });
                }
                Sighting::Settings { model, texts, file } => {
                    if self.releases.contains_key(&model) {
                        happenings.push(happening(model.clone(), Event::SettingsChanged));
                    }
                    self.read_settings(model, texts, file);
                }
                Sighting::Gone { model, place, file } => {
                    tracing::warn!(model.name = %model, "`{file}` is gone; what it was goes on from the store");
                    self.fleet.files_gone(&model, |known| known == file);
                    happenings.push(happening(model, Event::Gone(place)));
                }
                Sighting::ModelGone { model } => {
                    tracing::warn!(model.name = %model, "the last file of `{model}` is gone: it is unloaded in a minute");
                    self.fleet.files_gone(&model, |_| true);
                    happenings.push(happening(model, Event::AllGone));
                }
                Sighting::Vanished { models } => {
                    tracing::warn!("{}", vanished(&models));
                }
                Sighting::RootUnreadable { reason } => {
                    tracing::warn!("the models' folder cannot be read, nothing changes: {reason}");
                }
                Sighting::Unreadable { model, file, reason, .. } => {
                    tracing::warn!(model.name = %model, "`{file}` cannot be taken: {reason}");
                    self.fleet.not_taken(&model, &file, reason);
                }
                Sighting::Problem { model, reason } => {
                    tracing::error!(model.name = %model, "`{model}` is not looked after: {reason}");
                    self.fleet.problem(&model, Some(reason));
                }
                Sighting::ProblemGone { model } => self.fleet.problem(&model, None),
                Sighting::Warning(sentence) => tracing::warn!("{sentence}"),
            }
        }
        happenings
            .extend(seen.into_iter().map(|(model, seen)| happening(model, Event::Seen(seen))));
        happenings
    }

    /// Good settings apply at once; bad ones are refused, and the old ones stay.
    fn read_settings(&mut self, model: ModelName, texts: Option<ModelTexts>, file: String) {
        let parsed = ModelConfig::of_texts(&texts.unwrap_or_default(), &model);
        self.touched.insert(model.clone());
        let settings = self.settings.entry(model.clone()).or_default();
        let mut refused = None;
        match parsed {
            Ok(config) => {
                for sentence in &config.inactive {
                    tracing::warn!(model.name = %model, "settings of `{model}`: {sentence}");
                }
                *settings = Settings::Good(Box::new(config));
            }
            Err(error) => {
                tracing::error!(model.name = %model, "the settings of `{model}` are refused: {error}");
                match settings {
                    Settings::Default | Settings::Bad(_) => {
                        *settings = Settings::Bad(error.to_string());
                    }
                    Settings::Good(_) => refused = Some((file, error.to_string())),
                }
            }
        }
        self.fleet.settings_refused(&model, refused);
    }
}

fn vanished(models: &[ModelName]) -> String {
    match models {
        [only] => format!(
            "`{only}` vanished, and it seems that the whole models' folder did: nothing changes"
        ),
        several => {
            let names: Vec<&str> = several.iter().map(ModelName::as_str).collect();
            format!("several models vanished at once ({}): nothing changes", names.join(", "))
        }
    }
}
