use super::*;
use std::collections::HashSet;

fn rows() -> impl Iterator<Item = (&'static Sheet, &'static Row)> {
    SHEETS
        .iter()
        .flat_map(|sheet| sheet.rows.iter().map(move |row| (sheet, row)))
}

fn all_rates(row: &Row) -> impl Iterator<Item = Rates> {
    let long = row.long_context.map(|long| long.rates);
    let off_peak = row.off_peak.map(|off_peak| off_peak.rates);
    std::iter::once(row.rates).chain(long).chain(off_peak)
}

#[test]
fn sheets_and_rows_stand_in_order() {
    assert!(SHEETS.is_sorted_by(|a, b| a.provider < b.provider));
    for sheet in SHEETS {
        let key = |row: &Row| (row.model, row.from);
        for pair in sheet.rows.windows(2) {
            assert!(
                key(&pair[0]) < key(&pair[1]),
                "{}: {}",
                sheet.provider,
                pair[1].model
            );
        }
        assert!(!sheet.rows.is_empty());
        assert!(sheet.source.starts_with("https://"));
    }
}

#[test]
fn no_name_stands_twice_for_a_day() {
    let mut seen = HashSet::new();
    for (sheet, row) in rows() {
        for name in [row.model].iter().chain(row.also) {
            let new = seen.insert((sheet.provider, *name, row.from));
            assert!(new, "{}/{name} twice", sheet.provider);
            assert_eq!(*name, name.trim().to_lowercase());
            assert_ne!(*name, "*");
        }
    }
    assert!(seen.len() > 150, "{}", seen.len());
}

#[test]
fn every_date_is_one() {
    let days = |(sheet, row): (&Sheet, &Row)| [row.from, row.checked, Some(sheet.checked)];
    for day in rows().flat_map(days).flatten() {
        assert_eq!(day.to_string().parse(), Ok(day));
        assert!(
            day > Day::of(2023, 1, 1) && day < Day::of(2030, 1, 1),
            "{day}"
        );
    }
}

/// No list price has been outside 0.001 to 1000 dollars a million tokens; a slipped digit mostly is, or breaks the order of
/// the parts.
#[test]
fn prices_are_within_bounds() {
    let bounds = Rate::micro_usd(1_000)..=Rate::micro_usd(1_000_000_000);
    for (sheet, row) in rows() {
        let name = format!("{}/{}", sheet.provider, row.model);
        for rates in all_rates(row) {
            assert!(bounds.contains(&rates.input), "{name}");
            let free_output = rates.output == Rate::FREE;
            assert_eq!(free_output, name.contains("embed"), "{name}");
            assert!(free_output || rates.output >= rates.input, "{name}");
            if let Some(read) = rates.cache_read {
                assert!(bounds.contains(&read) && read < rates.input, "{name}");
            }
            if let Some(write) = rates.cache_write_5m {
                assert!(write >= rates.input, "{name}");
            }
            assert!(rates.cache_write_1h >= rates.cache_write_5m || rates.cache_write_1h.is_none());
        }
    }
}

#[test]
fn long_inputs_cost_more_in_every_part() {
    for (_, row) in rows() {
        let Some(LongContext { above, rates: long }) = row.long_context else {
            continue;
        };
        let short = row.rates;
        assert!((100_000..1_000_000).contains(&above), "{}", row.model);
        assert!(
            long.input > short.input && long.output > short.output,
            "{}",
            row.model
        );
        // A part with a price of its own keeps one.
        for (long, short) in [
            (long.cache_read, short.cache_read),
            (long.cache_write_5m, short.cache_write_5m),
            (long.cache_write_1h, short.cache_write_1h),
        ] {
            assert_eq!(long.is_some(), short.is_some(), "{}", row.model);
            assert!(long > short || long.is_none(), "{}", row.model);
        }
    }
}

#[test]
fn off_peak_costs_less_and_has_hours_of_the_day() {
    for (_, row) in rows() {
        let Some(OffPeak { peak, rates }) = row.off_peak else {
            continue;
        };
        assert!(rates.input < row.rates.input && rates.output < row.rates.output);
        assert!(rates.cache_read < row.rates.cache_read);
        assert!(peak.0.iter().all(|(from, to)| from < to && *to <= 24));
        assert!(
            row.long_context.is_none(),
            "off-peak prices of long inputs are not kept"
        );
    }
}

#[test]
fn limits_are_within_bounds() {
    for (sheet, row) in rows() {
        let name = format!("{}/{}", sheet.provider, row.model);
        if let Some(context) = row.limits.context {
            assert!((500..=10_000_000).contains(&context), "{name}");
            assert!(
                row.limits.max_output.is_none_or(|output| output <= context),
                "{name}"
            );
        }
    }
}

/// Embeddings are charged for input alone, and the providers of the crate's families are listed.
#[test]
fn what_is_routed_by_name_is_priced() {
    for provider in [
        "openai",
        "anthropic",
        "mistral",
        "deepseek",
        "xai",
        "gemini",
    ] {
        let sheet = SHEETS
            .iter()
            .find(|sheet| sheet.provider == provider)
            .unwrap();
        let served = sheet
            .rows
            .iter()
            .filter(|row| crate::serves(provider, row.model));
        assert!(served.count() * 2 > sheet.rows.len(), "{provider}");
    }
}
