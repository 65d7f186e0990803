//! The detector seen from its callers: settings, hints, custom recognizers, the seam for names.

use aplomb_privacy::detect::custom::CustomRecognizer;
use aplomb_privacy::detect::entity::{Entity, EntityKind, Strength};
use aplomb_privacy::detect::{Detector, DetectorSettings, Hint, NameFinder};

#[track_caller]
#[expect(clippy::expect_used, reason = "a helper of tests may fail like a test")]
fn check(settings: &DetectorSettings, text: &str, hint: Hint<'_>, expected: &[(&str, &str)]) {
    let detector = Detector::new(settings).expect("settings are sound");
    let found = detector.detect(text, hint);
    let found: Vec<_> = found
        .iter()
        .map(|e| (e.kind.name(), text.get(e.range.clone()).unwrap_or_default()))
        .collect();
    assert_eq!(found, expected, "text: {text:?}");
}

#[test]
fn kinds_that_were_not_asked_for_are_not_reported() {
    let settings = DetectorSettings {
        kinds: vec![EntityKind::Email],
        ..DetectorSettings::default()
    };
    check(
        &settings,
        "a@b.example, 4111 1111 1111 1111",
        Hint::default(),
        &[("EMAIL", "a@b.example")],
    );
}

#[test]
fn mac_addresses_are_reported_on_request_only() {
    let text = "mac 00:1b:44:11:3a:b7";
    check(&DetectorSettings::default(), text, Hint::default(), &[]);
    let settings = DetectorSettings {
        kinds: vec![EntityKind::MacAddress],
        ..DetectorSettings::default()
    };
    check(
        &settings,
        text,
        Hint::default(),
        &[("MAC_ADDRESS", "00:1b:44:11:3a:b7")],
    );
}

/// The word behind a comma that names the next value is no part of an address.
#[test]
fn an_address_ends_before_the_next_label() {
    check(
        &DetectorSettings::default(),
        "lives at 12 Wattle Road, Brunswick VIC 3056, call 0412 667 903",
        Hint::default(),
        &[
            ("ADDRESS", "12 Wattle Road, Brunswick VIC 3056"),
            ("PHONE", "0412 667 903"),
        ],
    );
}

#[test]
fn the_key_of_a_json_value_is_context() {
    let key = |json_key| Hint {
        json_key: Some(json_key),
        in_code: false,
    };
    let settings = DetectorSettings::default();
    check(
        &settings,
        "219099999",
        key("customerSsn"),
        &[("US_SSN", "219099999")],
    );
    check(&settings, "219099999", key("orderId"), &[]);
    check(
        &settings,
        "03/04/1985",
        key("date_of_birth"),
        &[("DATE_OF_BIRTH", "03/04/1985")],
    );
    check(
        &settings,
        "hunter2",
        key("password"),
        &[("SECRET", "hunter2")],
    );
    check(
        &settings,
        "5 Elm, Springfield",
        key("shipping_address"),
        &[("ADDRESS", "5 Elm, Springfield")],
    );
}

#[test]
fn code_hides_phones_that_nothing_names() {
    let code = Hint {
        json_key: None,
        in_code: true,
    };
    let settings = DetectorSettings::default();
    check(&settings, "let x = f(415-555-2671);", code, &[]);
    check(
        &settings,
        "let x = \"a@b.example\";",
        code,
        &[("EMAIL", "a@b.example")],
    );
}

#[test]
fn custom_recognizers_report_their_kind() {
    let custom = CustomRecognizer {
        kind: "employee_id".into(),
        pattern: Some("EMP-[0-9]{4}".into()),
        ..CustomRecognizer::default()
    };
    let settings = DetectorSettings {
        custom: vec![custom],
        ..DetectorSettings::default()
    };
    check(
        &settings,
        "ask EMP-1234",
        Hint::default(),
        &[("EMPLOYEE_ID", "EMP-1234")],
    );
}

#[test]
fn reasons_never_hold_the_value() {
    let detector =
        Detector::new(&DetectorSettings::default()).expect("the built-in tables compile");
    let text = "SSN 219-09-9999";
    let found = detector.detect(text, Hint::default());
    let reasons: Vec<String> = found.iter().map(|e| e.reason.to_string()).collect();
    assert_eq!(reasons, ["issued ranges, context `ssn`"]);
}

/// Finds one name, and reports it over everything that stands behind it.
struct OneName;

impl NameFinder for OneName {
    fn find(&self, text: &str, found: &[Entity], out: &mut Vec<Entity>) {
        assert!(found.iter().all(|e| text.get(e.range.clone()).is_some()));
        if let Some(start) = text.find("Ada Lovelace") {
            out.push(Entity::new(
                start..text.len(),
                EntityKind::Person,
                Strength::Name,
                0.7,
            ));
        }
    }
}

#[test]
fn names_yield_to_structure_and_come_back_to_the_original_text() {
    let detector =
        Detector::new(&DetectorSettings::default()).expect("the built-in tables compile");
    let detector = detector.with_names(Box::new(OneName));
    let text = "é\u{200b} Ada\u{a0}Lovelace a%40b.example";
    let found = detector.detect(text, Hint::default());
    let found: Vec<_> = found
        .iter()
        .map(|e| (e.kind.name(), text.get(e.range.clone()).unwrap_or_default()))
        .collect();
    assert_eq!(
        found,
        [("PERSON", "Ada\u{a0}Lovelace"), ("EMAIL", "a%40b.example")]
    );
}
