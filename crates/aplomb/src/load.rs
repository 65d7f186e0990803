//! Finds the configuration: a file, or providers in the environment.

use crate::cli::ConfigArgs;
use aplomb_config::diagnostic::Diagnostics;
use aplomb_config::discover::discover;
use aplomb_config::secret::{Environment, ProcessEnvironment};
use aplomb_config::{KNOWN_PROVIDERS, Parsed, Survey};
use aplomb_pipeline::policy::{Policy, Sources};
use aplomb_pipeline::state::State;
use std::path::{Path, PathBuf};

/// Where the configuration comes from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// Keys in the environment.
    Environment,
}

impl Origin {
    /// Which it is for these arguments.
    pub fn of(args: &ConfigArgs) -> Self {
        let default = Path::new("aplomb.yaml");
        match &args.config {
            Some(path) => Origin::File(path.clone()),
            None if default.exists() => Origin::File(default.to_owned()),
            None => Origin::Environment,
        }
    }

    /// Folder that relative `file:` references start from.
    pub fn base_dir(&self) -> PathBuf {
        match self {
            Origin::File(path) => path.parent().map(Path::to_owned).unwrap_or_default(),
            Origin::Environment => PathBuf::new(),
        }
    }

    fn name(&self) -> String {
        match self {
            Origin::File(path) => path.display().to_string(),
            Origin::Environment => "environment".to_owned(),
        }
    }

    /// Reads it. The second part says what the environment gave, for people.
    ///
    /// # Errors
    /// All that is wrong with the file.
    pub fn read(&self) -> Result<(Parsed, Vec<String>), Diagnostics> {
        match self {
            Origin::File(path) => aplomb_config::load(path).map(|parsed| (parsed, Vec::new())),
            Origin::Environment => {
                let discovered = discover(&ProcessEnvironment);
                let parsed = Parsed {
                    file: discovered.file,
                    map: Default::default(),
                    warnings: Vec::new(),
                };
                Ok((parsed, discovered.found))
            }
        }
    }

    /// Reads and compiles it.
    ///
    /// # Errors
    /// All that is wrong with the file, and all that can't be compiled of the rest.
    pub fn compile(
        &self,
        env: &dyn Environment,
        state: &State,
    ) -> Result<(Parsed, Policy), Diagnostics> {
        let Origin::File(path) = self else {
            let (parsed, _) = self.read()?;
            let policy = self.build(&parsed, env, state)?;
            return Ok((parsed, policy));
        };
        let survey = Survey::load(path);
        let built = match survey.readable() {
            Some(parsed) => self.build(parsed, env, state),
            None => Err(Diagnostics::new(&self.name(), Vec::new())),
        };
        match built {
            Ok(policy) => Ok((survey.finish(Vec::new())?, policy)),
            Err(more) => survey.finish(more.list.clone()).and(Err(more)),
        }
    }

    /// Compiles what was read.
    ///
    /// # Errors
    /// All that can't be compiled.
    pub fn build(
        &self,
        parsed: &Parsed,
        env: &dyn Environment,
        state: &State,
    ) -> Result<Policy, Diagnostics> {
        let base_dir = self.base_dir();
        Policy::build(
            parsed,
            &self.name(),
            &Sources {
                env,
                base_dir: &base_dir,
                state,
            },
        )
    }
}

/// What to say when nothing is configured.
pub fn nothing_found() -> String {
    let names: Vec<&str> = KNOWN_PROVIDERS
        .iter()
        .filter_map(|known| known.key_env)
        .collect();
    format!(
        "no providers: there is no aplomb.yaml here, and the environment has none of {}\n  try it without any key: aplomb demo",
        names.join(", ")
    )
}
