//! Privacy policies of the file, compiled.

use crate::analyzer::Analyzer;
use crate::policy::{Sources, secret_value, value_of};
use aplomb_config::Parsed;
use aplomb_config::diagnostic::{Diagnostic, did_you_mean};
use aplomb_config::file::ConfigFile;
use aplomb_config::privacy::{
    ActionConfig, AgreementConfig, AnalyzerConfig, ClassConfig, DpaConfig, ImagesConfig,
    NamesConfig, OnErrorConfig, OutputConfig, PresetConfig, PrivacyConfig, RequireConfig,
};
use aplomb_privacy::agreements::{Agreement, Known};
use aplomb_privacy::detect::Detector;
use aplomb_privacy::detect::custom::CustomRecognizer;
use aplomb_privacy::detect::entity::EntityKind;
use aplomb_privacy::finder::{NameSource, detector_with};
use aplomb_privacy::placeholder::Labels;
use aplomb_privacy::policy::{Action, Media, OnError, Output, Profile};
use aplomb_privacy::room::{Class, Shield};
use aplomb_providers::call::Base;
use http::{HeaderMap, header};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// Policies by name.
pub(crate) type Shields = HashMap<String, Compiled>;

/// One policy, compiled.
pub(crate) struct Compiled {
    /// Masks and restores.
    pub shield: Arc<Shield>,
    /// The analyzer that is asked besides.
    pub analyzer: Option<Arc<Analyzer>>,
}

/// Compiles all policies, and finds all errors of each. The detector is built only if there is one.
pub(crate) fn build(
    parsed: &Parsed,
    sources: &Sources<'_>,
    errors: &mut Vec<Diagnostic>,
) -> Shields {
    let file = &parsed.file;
    if file.privacy.is_empty() {
        return Shields::new();
    }
    let detectors = detectors(file, errors);
    let custom = custom_kinds(file);
    let mut shields = Shields::new();
    for (name, config) in &file.privacy {
        let compiler = Compiler {
            path: format!("privacy.{name}"),
            custom: &custom,
            errors,
        };
        let (profile, classes) = compiler.profile(name, config);
        let path = format!("privacy.{name}.analyzer");
        let analyzer = config.analyzer.as_ref().and_then(|config| {
            analyzer(config, &path, sources)
                .map_err(|error| errors.push(error))
                .ok()
        });
        let detector = detectors
            .as_ref()
            .and_then(|detectors| detectors.get(&config.names));
        let Some(detector) = detector else {
            continue;
        };
        let shield = Shield {
            labels: Arc::new(Labels::of(&profile, &custom)),
            profile,
            classes,
            detector: detector.clone(),
            secret: sources.state.placeholder_key.clone(),
        };
        let compiled = Compiled {
            shield: Arc::new(shield),
            analyzer: analyzer.map(Arc::new),
        };
        shields.insert(name.clone(), compiled);
    }
    shields
}

fn analyzer(
    config: &AnalyzerConfig,
    path: &str,
    sources: &Sources<'_>,
) -> Result<Analyzer, Diagnostic> {
    // The same rules as for a provider's address: no credentials, no query.
    Base::parse(&config.url)
        .map_err(|message| Diagnostic::error(format!("{path}.url"), message))?;
    let url = format!("{}/analyze", config.url.trim_end_matches('/'));
    let url = url
        .parse()
        .map_err(|_| Diagnostic::error(format!("{path}.url"), "is not a valid URL"))?;
    let mut headers = HeaderMap::new();
    if let Some(secret) = &config.api_key {
        let at = format!("{path}.api_key");
        let key = value_of(secret, &at, sources)?;
        headers.insert(
            header::AUTHORIZATION,
            secret_value(&format!("Bearer {key}"), &at)?,
        );
    }
    Ok(Analyzer {
        url,
        headers,
        language: config.language.clone(),
        timeout: config.timeout.0,
        score_min: config.score_min,
        client: sources.state.client(path, config.timeout.0),
    })
}

fn custom_kinds(file: &ConfigFile) -> Vec<String> {
    let name = |recognizer: &aplomb_config::privacy::RecognizerConfig| {
        let kind = recognizer.kind.as_ref().unwrap_or(&recognizer.name);
        kind.to_ascii_uppercase()
    };
    file.recognizers.iter().map(name).collect()
}

/// One detector for each way to find names that a policy asks for; `None` if a recognizer is wrong.
fn detectors(
    file: &ConfigFile,
    errors: &mut Vec<Diagnostic>,
) -> Option<HashMap<NamesConfig, Arc<Detector>>> {
    let mut detectors = HashMap::new();
    for policy in file.privacy.values() {
        if let Entry::Vacant(place) = detectors.entry(policy.names) {
            place.insert(built(file, policy.names, errors)?);
        }
    }
    Some(detectors)
}

/// The detector with the file's own recognizers, and with the name model if a policy asks for it; `None` if a recognizer
/// is wrong.
pub fn recognizers(file: &ConfigFile, errors: &mut Vec<Diagnostic>) -> Option<Arc<Detector>> {
    let mut policies = file.privacy.values();
    let model = policies.any(|policy| policy.names == NamesConfig::Model);
    let names = if model {
        NamesConfig::Model
    } else {
        NamesConfig::Rules
    };
    built(file, names, errors)
}

fn built(
    file: &ConfigFile,
    names: NamesConfig,
    errors: &mut Vec<Diagnostic>,
) -> Option<Arc<Detector>> {
    let before = errors.len();
    let mut custom = Vec::new();
    for config in &file.recognizers {
        let kind = config.kind.as_ref().unwrap_or(&config.name);
        custom.push(CustomRecognizer {
            kind: kind.to_ascii_uppercase(),
            pattern: config.pattern.clone(),
            words: config.words.clone(),
            context: config.context.clone(),
            validator: config.validator.clone(),
            score: 0.9,
        });
    }
    // One at a time, so that an error names its place.
    for (index, recognizer) in custom.iter().enumerate() {
        if let Err(error) = aplomb_privacy::detect::custom::try_out(recognizer) {
            let member = error
                .member()
                .map_or(String::new(), |name| format!(".{name}"));
            let path = format!("recognizers[{index}]{member}");
            errors.push(Diagnostic::error(path, error.to_string()));
        }
    }
    if errors.len() > before {
        return None;
    }
    let source = match names {
        NamesConfig::Rules => NameSource::Rules,
        NamesConfig::Model => NameSource::Model,
    };
    match detector_with(custom, source) {
        Ok(detector) => Some(Arc::new(detector)),
        Err(error) => {
            errors.push(Diagnostic::error("recognizers", error.to_string()));
            None
        }
    }
}

struct Compiler<'a> {
    path: String,
    custom: &'a [String],
    errors: &'a mut Vec<Diagnostic>,
}

impl Compiler<'_> {
    fn profile(mut self, name: &str, config: &PrivacyConfig) -> (Profile, Vec<Class>) {
        let mut profile = preset(name, config.preset);
        if config.preset.is_none() && !config.kinds.contains_key("*") {
            // Without its places a question about the weather has no answer; whoever wants them out says so.
            let public = [EntityKind::Location, EntityKind::Organization];
            profile
                .actions
                .extend(public.map(|kind| (kind, Action::Flag)));
        }
        for (kind, action) in &config.kinds {
            if kind == "*" {
                profile.default = action_of(*action);
            } else if let Some(kind) = self.kind(kind, &format!(".{kind}")) {
                profile.actions.insert(kind, action_of(*action));
            }
        }
        for (kind, action) in &config.code {
            if let Some(kind) = self.kind(kind, &format!(".code.{kind}")) {
                profile.code.insert(kind, action_of(*action));
            }
        }
        profile.media = match config.images {
            ImagesConfig::Refuse => Media::Refuse,
            ImagesConfig::Pass => Media::Pass,
            ImagesConfig::Log => Media::Log,
        };
        profile.on_error = match config.on_error {
            OnErrorConfig::Refuse => OnError::Refuse,
            OnErrorConfig::Pass => OnError::Pass,
        };
        profile.output = match config.output {
            OutputConfig::Ignore => Output::Ignore,
            OutputConfig::Flag => Output::Flag,
            OutputConfig::Redact => Output::Redact,
        };
        let classes = config.classes.iter();
        let classes = classes.map(|(name, class)| self.class(name, class));
        (profile, classes.collect())
    }

    fn class(&mut self, name: &str, config: &ClassConfig) -> Class {
        let kinds = config.kinds.iter().enumerate();
        let at = |index: usize| format!(".classes.{name}.kinds[{index}]");
        Class {
            name: name.to_owned(),
            kinds: kinds
                .filter_map(|(index, kind)| self.kind(kind, &at(index)))
                .collect(),
            require: requirement(&config.require),
        }
    }

    /// The kind of a name that stands at this place of the policy.
    fn kind(&mut self, name: &str, at: &str) -> Option<EntityKind> {
        let upper = name.to_ascii_uppercase();
        if let Some(kind) = EntityKind::parse(&upper) {
            return Some(kind);
        }
        if self.custom.contains(&upper) {
            return Some(EntityKind::custom(&upper));
        }
        let known: Vec<String> = EntityKind::BUILT_IN
            .iter()
            .map(|kind| kind.name().to_ascii_lowercase())
            .chain(self.custom.iter().map(|kind| kind.to_ascii_lowercase()))
            .collect();
        let suggestion = did_you_mean(name, known.iter().map(String::as_str));
        let path = format!("{}{at}", self.path);
        let message = format!("`{name}` is no kind of personal data that is known here");
        self.errors
            .push(Diagnostic::error(path, message).suggest(suggestion));
        None
    }
}

fn preset(name: &str, preset: Option<PresetConfig>) -> Profile {
    let mut profile = Profile::all(name, Action::Mask);
    let secrets = [EntityKind::Secret, EntityKind::UrlCredentials];
    match preset {
        None => {}
        Some(PresetConfig::Medical) => {
            profile
                .actions
                .extend(secrets.map(|kind| (kind, Action::Block)));
        }
        Some(PresetConfig::Financial) => {
            profile
                .actions
                .extend(secrets.map(|kind| (kind, Action::Block)));
            let accounts = [
                EntityKind::CreditCard,
                EntityKind::Iban,
                EntityKind::UsBankNumber,
                EntityKind::AbaRouting,
                EntityKind::Crypto,
            ];
            profile
                .actions
                .extend(accounts.map(|kind| (kind, Action::Hash)));
        }
    }
    profile
}

/// What a policy requires by its preset.
pub(crate) fn preset_requirement(config: &PrivacyConfig) -> Agreement {
    match config.preset {
        Some(PresetConfig::Medical) => Agreement {
            dpa: true,
            no_training: true,
            ..Agreement::default()
        },
        Some(PresetConfig::Financial) => Agreement {
            dpa: true,
            ..Agreement::default()
        },
        None => Agreement::default(),
    }
}

fn action_of(config: ActionConfig) -> Action {
    match config {
        ActionConfig::Allow => Action::Allow,
        ActionConfig::Flag => Action::Flag,
        ActionConfig::Mask => Action::Mask,
        ActionConfig::Redact => Action::Redact,
        ActionConfig::Hash => Action::Hash,
        ActionConfig::Surrogate => Action::Surrogate,
        ActionConfig::Block => Action::Block,
    }
}

/// What is required, compiled.
pub(crate) fn requirement(config: &RequireConfig) -> Agreement {
    let any = *config != RequireConfig::default();
    Agreement {
        region: config.region.clone(),
        no_training: config.trains == Some(false),
        zdr: config.zdr == Some(true),
        dpa: config.dpa.unwrap_or(any),
        retention: config.retention.map(|span| span.0),
    }
}

/// What is known of a provider.
pub(crate) fn known(config: Option<&AgreementConfig>) -> Known {
    let Some(config) = config else {
        return Known::default();
    };
    Known {
        region: config.region.clone(),
        trains: config.trains,
        zdr: config.zdr == Some(true),
        dpa: config.dpa != DpaConfig::None,
        retention: config.retention.map(|span| span.0),
    }
}
