mod arrivals;
mod departures;
mod random;
mod restarts;
mod settings;

use super::super::testing::Folders;
use super::*;

const SETTLE: Duration = Duration::from_millis(500);

/// A folder, an intake that looks at it, and a clock.
struct Scene {
    folders: Folders,
    store: Arc<ContentStore>,
    intake: Intake,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        Self::of(Folders::new())
    }

    /// With what is in the folders already.
    fn of(folders: Folders) -> Self {
        let store = Arc::new(ContentStore::open(&folders.state()).unwrap());
        let intake = Intake::new(folders.models(), SETTLE, Arc::clone(&store), []);
        Self { folders, store, intake, now: Instant::now() }
    }

    /// A server that begins with what this one knows.
    fn restart(mut self) -> Self {
        let files = self.intake.files();
        let known: Vec<_> =
            files.map(|(file, hint, digest)| (file.to_owned(), hint, digest)).collect();
        let store = Arc::clone(&self.store);
        self.intake = Intake::new(self.folders.models(), SETTLE, store, known);
        self
    }

    fn pass(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
    }

    /// Looks now, and shows each sighting in a line.
    fn look(&mut self) -> Vec<String> {
        let sightings = self.intake.look(self.now, Care::Everything);
        sightings.iter().map(|sighting| self.show(sighting)).collect()
    }

    /// Looks whenever the intake wants to, until it has nothing to wait for.
    fn look_until_still(&mut self) -> Vec<String> {
        let mut seen = self.look();
        while let Some(due) = self.intake.next_look() {
            self.now = self.now.max(due);
            seen.extend(self.look());
        }
        seen
    }

    fn show(&self, sighting: &Sighting) -> String {
        match sighting {
            Sighting::Stored { file, content, .. } => format!("{file} is `{}`", self.text(content)),
            Sighting::Unreadable { file, reason, .. } => format!("{file} unreadable: {reason}"),
            Sighting::Gone { file, .. } => format!("{file} gone"),
            Sighting::ModelGone { model } => format!("{model} gone"),
            Sighting::Vanished { models } => {
                format!("{models:?} vanished").replace("ModelName", "")
            }
            Sighting::RootUnreadable { reason } => format!("root unreadable: {reason}"),
            Sighting::Settings { file, texts: Some(texts), .. } => {
                let said = texts.triton.iter().chain(&texts.toml).map(|file| file.text.as_str());
                let said = said
                    .chain(texts.beside.values().filter_map(|bytes| str::from_utf8(bytes).ok()));
                format!("{file} says `{}`", said.collect::<Vec<_>>().join("` and `"))
            }
            Sighting::Settings { file, texts: None, .. } => format!("{file} says nothing more"),
            Sighting::Problem { reason, .. } => format!("problem: {reason}"),
            Sighting::ProblemGone { model } => format!("no problem with {model}"),
            Sighting::Warning(sentence) => sentence.clone(),
        }
    }

    /// What the store has, `name=text` where there is more than the model.
    fn text(&self, content: &super::super::store::Content) -> String {
        let model = self.store.model_path(&content.digest).expect("what is told is in the store");
        let folder = std::fs::read_dir(model.parent().unwrap()).unwrap();
        let mut files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let text = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
        match &files[..] {
            [only] => text(only),
            several => {
                let name = |path: &PathBuf| path.file_name().unwrap().display().to_string();
                let shown: Vec<String> =
                    several.iter().map(|path| format!("{}={}", name(path), text(path))).collect();
                shown.join(" ")
            }
        }
    }
}
