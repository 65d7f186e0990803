//! What was found: kind, place, certainty and reason.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One list gives the variants, their spelling, their bit and the array of all of them;
/// four lists by hand would drift apart.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// Kind of personal data. Spelled in upper case in output (`US_SSN`).
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EntityKind {
            $($(#[$doc])* $variant,)+
            /// A kind that the operator named for a custom recognizer.
            Custom(Arc<str>),
        }

        impl EntityKind {
            /// Every built-in kind, in the order of declaration.
            pub const BUILT_IN: &'static [Self] = &[$(Self::$variant,)+];

            /// The spelling used in output, metrics and placeholders.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Custom(name) => name,
                }
            }

            /// Position in [`Self::BUILT_IN`]; `None` for custom kinds.
            pub(crate) fn bit(&self) -> Option<u32> {
                enum Bit { $($variant,)+ }
                match self {
                    $(Self::$variant => Some(Bit::$variant as u32),)+
                    Self::Custom(_) => None,
                }
            }
        }
    };
}

kinds! {
    Person = "PERSON",
    Location = "LOCATION",
    Organization = "ORGANIZATION",
    /// A postal address as one unit: street, number, and what follows of town and code.
    Address = "ADDRESS",
    DateOfBirth = "DATE_OF_BIRTH",
    Email = "EMAIL",
    Phone = "PHONE",
    /// API keys, tokens, private keys, passwords.
    Secret = "SECRET",
    /// User and password inside a URL, from the user name to the `@`.
    UrlCredentials = "URL_CREDENTIALS",
    CreditCard = "CREDIT_CARD",
    Iban = "IBAN",
    UsBankNumber = "US_BANK_NUMBER",
    AbaRouting = "ABA_ROUTING",
    /// Wallet address of a crypto currency.
    Crypto = "CRYPTO",
    IpAddress = "IP_ADDRESS",
    MacAddress = "MAC_ADDRESS",
    Passport = "PASSPORT",
    DriverLicense = "DRIVER_LICENSE",
    /// DEA number of a prescriber (United States).
    MedicalLicense = "MEDICAL_LICENSE",
    UsSsn = "US_SSN",
    UsItin = "US_ITIN",
    UsNpi = "US_NPI",
    UsMbi = "US_MBI",
    UkNhs = "UK_NHS",
    UkNino = "UK_NINO",
    DeTaxId = "DE_TAX_ID",
    DeSocialSecurity = "DE_SOCIAL_SECURITY",
    FrNir = "FR_NIR",
    EsNif = "ES_NIF",
    EsNie = "ES_NIE",
    ItFiscalCode = "IT_FISCAL_CODE",
    NlBsn = "NL_BSN",
    PtNif = "PT_NIF",
    PlPesel = "PL_PESEL",
    SePersonnummer = "SE_PERSONNUMMER",
    FiHetu = "FI_HETU",
    BeNrn = "BE_NRN",
    ChAhv = "CH_AHV",
    TrNationalId = "TR_NATIONAL_ID",
    BrCpf = "BR_CPF",
    BrCnpj = "BR_CNPJ",
    CaSin = "CA_SIN",
    InAadhaar = "IN_AADHAAR",
    InPan = "IN_PAN",
    AuTfn = "AU_TFN",
    AuMedicare = "AU_MEDICARE",
    SgNric = "SG_NRIC",
    CnId = "CN_ID",
    JpMyNumber = "JP_MY_NUMBER",
    KrRrn = "KR_RRN",
}

impl EntityKind {
    /// Reported only on request: too common in harmless text.
    pub const OFF_BY_DEFAULT: &'static [Self] = &[Self::MacAddress];

    /// A kind of the operator's own; the name is put into upper case.
    pub fn custom(name: &str) -> Self {
        Self::Custom(Arc::from(name.trim().to_ascii_uppercase()))
    }

    /// The built-in kind of this name, in any case. `None` if there is none.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim();
        let found = Self::BUILT_IN
            .iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name));
        found.cloned()
    }
}

impl fmt::Display for EntityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for EntityKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for EntityKind {
    /// A name that is not built in becomes a custom kind.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Ok(Self::parse(&name).unwrap_or_else(|| Self::custom(&name)))
    }
}

/// What kind of evidence stands behind a finding, weakest first. Decides which of two
/// overlapping findings keeps its span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// The shape alone.
    Pattern,
    /// Dictionary or model of names.
    Name,
    /// A shape together with a word, key or column header that names it.
    Context,
    /// A provider's own prefix, a private key block, an assignment to a secret.
    Secret,
    /// A check digit or a full structural proof (e-mail syntax, IP parse).
    Checksum,
}

/// Why a span was reported. Never holds any part of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The rule: `luhn + iin`, `prefix ghp_`, `assignment`.
    pub rule: &'static str,
    /// The word near the value that named it, if one did.
    pub context: Option<&'static str>,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.context {
            Some(word) => write!(f, "{}, context `{word}`", self.rule),
            None => f.write_str(self.rule),
        }
    }
}

/// One piece of personal data in a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entity {
    /// Bytes of the text that was given; both ends on character boundaries.
    pub range: Range<usize>,
    pub kind: EntityKind,
    /// `0.0..=1.0`. Above 0.9: a check digit or a unique prefix. Around 0.5: shape only.
    pub score: f32,
    pub strength: Strength,
    pub reason: Reason,
}

impl Entity {
    pub fn new(range: Range<usize>, kind: EntityKind, strength: Strength, score: f32) -> Self {
        let reason = Reason {
            rule: "pattern",
            context: None,
        };
        Self {
            range,
            kind,
            score: score.clamp(0.0, 1.0),
            strength,
            reason,
        }
    }

    /// The same finding with its reason.
    #[must_use]
    pub fn because(mut self, rule: &'static str, context: Option<&'static str>) -> Self {
        self.reason = Reason { rule, context };
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_to_its_own_kind() {
        for kind in EntityKind::BUILT_IN {
            assert_eq!(
                EntityKind::parse(&kind.name().to_lowercase()).as_ref(),
                Some(kind)
            );
        }
        assert!(
            EntityKind::BUILT_IN.len() <= 64,
            "kind sets are 64 bits wide"
        );
    }

    #[test]
    fn checksum_outranks_all_and_bare_patterns_nothing() {
        let mut order = [
            Strength::Checksum,
            Strength::Pattern,
            Strength::Name,
            Strength::Secret,
            Strength::Context,
        ];
        order.sort();
        let expected = [
            Strength::Pattern,
            Strength::Name,
            Strength::Context,
            Strength::Secret,
            Strength::Checksum,
        ];
        assert_eq!(order, expected);
    }

    #[test]
    fn unknown_names_are_custom_kinds() {
        let kind: EntityKind = serde_json::from_str("\"badge\"").unwrap();
        assert_eq!(kind.name(), "BADGE");
        assert_eq!(serde_json::to_string(&kind).unwrap(), "\"BADGE\"");
    }
}
