//! Random values of each kind, in the spellings that people use.

use aplomb_privacy::detect::validate::{
    americas, asia, bank, europe, iso7064_mod11_10, luhn, nordic, wallet,
};
use fastrand::Rng;

/// The kind that a template name is labelled as.
pub fn kind_of(name: &str) -> &str {
    if name == "PASSWORD" { "SECRET" } else { name }
}

/// Text that is no personal data.
pub fn filler(name: &str, rng: &mut Rng) -> Option<String> {
    let name = name.strip_prefix('~')?;
    let value = match name {
        "word" => pick(rng, &["alpha", "table", "garden", "blue"]).to_owned(),
        "name" => pick(rng, &["ada", "linus", "grace", "alan"]).to_owned(),
        "q" => "\"".to_owned(),
        "uuid" => {
            let parts: Vec<String> = [8, 4, 4, 4, 12]
                .iter()
                .map(|&n| text(rng, HEX, n))
                .collect();
            parts.join("-")
        }
        "ts13" => format!("17{}", digits(rng, 11)),
        _ => match (name.strip_prefix("hex"), name.strip_prefix('d')) {
            (Some(n), _) => text(rng, HEX, n.parse().ok()?),
            (_, Some(n)) => format!(
                "{}{}",
                rng.u32(1..10),
                digits(rng, n.parse::<usize>().ok()? - 1)
            ),
            _ => return None,
        },
    };
    Some(value)
}

const HEX: &str = "0123456789abcdef";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const UPPER_ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn pick<'a>(rng: &mut Rng, list: &[&'a str]) -> &'a str {
    list[rng.usize(..list.len())]
}

fn text(rng: &mut Rng, alphabet: &str, len: usize) -> String {
    let letters: Vec<char> = alphabet.chars().collect();
    (0..len)
        .map(|_| letters[rng.usize(..letters.len())])
        .collect()
}

fn digits(rng: &mut Rng, len: usize) -> String {
    text(rng, "0123456789", len)
}

/// Cuts a number into groups: `#` stands for one character of it.
fn shaped(rng: &mut Rng, number: &str, shapes: &[&str]) -> String {
    let mut rest = number.chars();
    pick(rng, shapes)
        .chars()
        .map(|c| {
            if c == '#' {
                rest.next().unwrap_or('#')
            } else {
                c
            }
        })
        .collect()
}

/// Draws until the check passes.
fn valid(rng: &mut Rng, draw: impl Fn(&mut Rng) -> String, check: fn(&[u8]) -> bool) -> String {
    loop {
        let number = draw(rng);
        let values: Vec<u8> = number.bytes().map(|b| b - b'0').collect();
        if check(&values) {
            return number;
        }
    }
}

/// As [`valid`], for checks over text.
fn valid_text(
    rng: &mut Rng,
    draw: impl Fn(&mut Rng) -> String,
    check: fn(&[u8]) -> bool,
) -> String {
    loop {
        let code = draw(rng);
        if check(code.as_bytes()) {
            return code;
        }
    }
}

fn date(rng: &mut Rng) -> (u32, u32, u32) {
    (rng.u32(1940..2012), rng.u32(1..13), rng.u32(1..29))
}

/// A value of a kind; `None` for names that are none.
pub fn value(name: &str, rng: &mut Rng) -> Option<String> {
    person(name, rng)
        .or_else(|| finance(name, rng))
        .or_else(|| europe_number(name, rng))
        .or_else(|| south_and_nordic_number(name, rng))
        .or_else(|| other_number(name, rng))
        .or_else(|| asian_number(name, rng))
        .or_else(|| secret(name, rng))
}

fn person(name: &str, rng: &mut Rng) -> Option<String> {
    let value = match name {
        "EMAIL" => email(rng),
        "PHONE" => phone(rng),
        "DATE_OF_BIRTH" => birth(rng),
        "ADDRESS" => address(rng),
        "IP_ADDRESS" => ip(rng),
        "PASSPORT" => match rng.u32(0..6) {
            0 => digits(rng, 9),
            1 => format!("C{}", text(rng, "0123456789FGHJKLMNPRTVWXYZ", 3)) + &digits(rng, 5),
            2 => format!("{}AB{}", digits(rng, 2), digits(rng, 5)),
            3 => format!("{}{}", text(rng, UPPER, 1), digits(rng, 8)),
            4 => format!("{}{}", text(rng, UPPER, 2), digits(rng, 7)),
            _ => format!("{}{}", text(rng, UPPER, 1), digits(rng, 7)),
        },
        "DRIVER_LICENSE" => match rng.u32(0..5) {
            0 => format!("{}{}", text(rng, UPPER, 1), digits(rng, 7)),
            1 => digits(rng, 8),
            2 => format!(
                "{}{}-{}-{}",
                text(rng, UPPER, 1),
                digits(rng, 3),
                digits(rng, 4),
                digits(rng, 4)
            ),
            3 => format!("B0{}RRE2I5{}", digits(rng, 2), digits(rng, 1)),
            _ => format!("{}{}", text(rng, UPPER, 1), digits(rng, 12)),
        },
        _ => return None,
    };
    Some(value)
}

fn email(rng: &mut Rng) -> String {
    let first = pick(
        rng,
        &[
            "anna",
            "j.smith",
            "info",
            "maria.rossi",
            "k_lee",
            "o'neil",
            "tom+news",
            "user42",
        ],
    );
    let host = pick(
        rng,
        &[
            "example.com",
            "mail.example.org",
            "corp.internal",
            "firma.de",
            "xn--bcher-kva.example",
            "univ.ac.uk",
            "a.io",
        ],
    );
    format!("{first}@{host}")
}

fn phone(rng: &mut Rng) -> String {
    let shapes = [
        "(415) 5##-####",
        "415-5##-####",
        "+1 415 5## ####",
        "+44 20 7### ####",
        "07### ######",
        "020 7### ####",
        "+49 30 #######",
        "030/#######",
        "0170 #######",
        "+33 6 ## ## ## ##",
        "06 ## ## ## ##",
        "+34 6## ### ###",
        "6## ### ###",
        "+39 3## #######",
        "3## ### ####",
        "+55 11 9####-####",
        "(11) 9####-####",
        "+351 9## ### ###",
        "+31 6 ########",
        "06-########",
        "+48 5## ### ###",
        "+46 70 ### ## ##",
        "070-### ## ##",
        "+7 9## ###-##-##",
        "8 (9##) ###-##-##",
        "138########",
        "+86 139 #### ####",
        "090-####-####",
        "03-####-####",
        "010-####-####",
        "+82 10-####-####",
        "+91 98### #####",
        "98### #####",
        "+90 532 ### ## ##",
        "+971 50 ### ####",
        "555-0###",
        "+61 4## ### ###",
        "04## ### ###",
        "1-800-5##-####",
    ];
    pick(rng, &shapes)
        .chars()
        .map(|c| {
            if c == '#' {
                char::from(b'2' + rng.u8(0..8))
            } else {
                c
            }
        })
        .collect()
}

fn birth(rng: &mut Rng) -> String {
    let (y, m, d) = date(rng);
    let english = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let month = english[usize::try_from(m).unwrap() - 1];
    match rng.u32(0..8) {
        0 => format!("{y}-{m:02}-{d:02}"),
        1 => format!("{d:02}/{m:02}/{y}"),
        2 => format!("{d}.{m}.{y}"),
        3 => format!("{d} {month} {y}"),
        4 => format!("{month} {d}, {y}"),
        5 => format!("{d:02}-{m:02}-{y}"),
        6 => format!("{}/{d}/{y}", m),
        _ => format!("{y}年{m}月{d}日"),
    }
}

fn address(rng: &mut Rng) -> String {
    let n = rng.u32(1..300);
    let zip = rng.u32(10000..99999);
    match rng.u32(0..10) {
        0 => format!("{n} Maple Street, Springfield, IL {zip}"),
        1 => format!("{n} Oak Ave, Apt 4B, Denver, CO {zip}"),
        2 => format!("Hauptstraße {n}, {zip} Musterstadt"),
        3 => format!("{n} rue de la Paix, 75002 Paris"),
        4 => format!("Calle Mayor {n}, 28013 Madrid"),
        5 => format!("Via Roma {n}, 00184 Roma"),
        6 => format!("Rua das Flores, {n}"),
        7 => format!("ul. Marszałkowska {n}, 00-950 Warszawa"),
        8 => format!("Keizersgracht {n}, 1015 CS Amsterdam"),
        _ => format!("{n} High Road, London N22 6BX"),
    }
}

fn ip(rng: &mut Rng) -> String {
    match rng.u32(0..3) {
        0 => format!("10.{}.{}.{}", rng.u8(..), rng.u8(..), rng.u8(1..)),
        1 => format!(
            "{}.{}.{}.{}",
            rng.u8(60..190).max(128),
            rng.u8(..),
            rng.u8(..),
            rng.u8(1..)
        ),
        _ => format!(
            "2a02:{}:{}::{}",
            text(rng, "123456789abcdef", 4),
            text(rng, "123456789abcdef", 3),
            text(rng, "123456789", 2)
        ),
    }
}

fn finance(name: &str, rng: &mut Rng) -> Option<String> {
    let value = match name {
        "CREDIT_CARD" => card(rng),
        "IBAN" => iban(rng),
        "US_BANK_NUMBER" => {
            let len = rng.usize(8..13);
            digits(rng, len)
        }
        "ABA_ROUTING" => valid(rng, |rng| format!("0{}", digits(rng, 8)), bank::aba),
        "CRYPTO" => match rng.u32(0..4) {
            0 => base58(rng),
            1 => "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq".to_owned(),
            2 => "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy".to_owned(),
            _ => valid_text(
                rng,
                |rng| format!("0x{}", text(rng, HEX, 40)),
                wallet::hex_address,
            ),
        },
        _ => return None,
    };
    Some(value)
}

fn base58(rng: &mut Rng) -> String {
    let list = [
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
    ];
    pick(rng, &list).to_owned()
}

fn card(rng: &mut Rng) -> String {
    let (prefix, len) = match rng.u32(0..7) {
        0 | 1 => ("4", 16),
        2 => ("53", 16),
        3 => ("2301", 16),
        4 => ("37", 15),
        5 => ("6011", 16),
        _ => ("4", 19),
    };
    let number = valid(
        rng,
        |rng| format!("{prefix}{}", digits(rng, len - prefix.len())),
        luhn,
    );
    match len {
        15 => shaped(rng, &number, &["###############", "#### ###### #####"]),
        19 => number,
        _ => shaped(
            rng,
            &number,
            &[
                "################",
                "#### #### #### ####",
                "####-####-####-####",
                "####.####.####.####",
            ],
        ),
    }
}

fn iban(rng: &mut Rng) -> String {
    let (country, body) = match rng.u32(0..4) {
        0 => ("DE", digits(rng, 18)),
        1 => ("FR", digits(rng, 23)),
        2 => ("GB", format!("{}{}", text(rng, UPPER, 4), digits(rng, 14))),
        _ => ("BE", digits(rng, 12)),
    };
    let check = (2..=98)
        .find(|check| bank::iban(format!("{country}{check:02}{body}").as_bytes()))
        .unwrap();
    let plain = format!("{country}{check:02}{body}");
    let spaced: Vec<String> = plain
        .as_bytes()
        .chunks(4)
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect();
    if rng.bool() { plain } else { spaced.join(" ") }
}

fn europe_number(name: &str, rng: &mut Rng) -> Option<String> {
    let value = match name {
        "UK_NHS" => {
            let number = valid(rng, |rng| digits(rng, 10), europe::nhs);
            shaped(
                rng,
                &number,
                &["##########", "### ### ####", "###-###-####"],
            )
        }
        "UK_NINO" => {
            let code = valid_text(
                rng,
                |rng| {
                    format!(
                        "{}{}{}",
                        text(rng, UPPER, 2),
                        digits(rng, 6),
                        text(rng, "ABCD", 1)
                    )
                },
                europe::nino,
            );
            shaped(rng, &code, &["#########", "## ## ## ## #"])
        }
        "DE_TAX_ID" => {
            let draw = |rng: &mut Rng| {
                let mut list: Vec<char> = "1234567890".chars().collect();
                rng.shuffle(&mut list);
                list[9] = list[rng.usize(0..8)];
                list.into_iter().chain(digits(rng, 1).chars()).collect()
            };
            let number = valid(rng, draw, |d| europe::de_tax_id(d) && iso7064_mod11_10(d));
            shaped(rng, &number, &["###########", "## ### ### ###"])
        }
        "DE_SOCIAL_SECURITY" => {
            let code = valid_text(
                rng,
                |rng| {
                    let (y, m, d) = date(rng);
                    format!(
                        "{}{d:02}{m:02}{:02}{}{}",
                        rng.u32(10..60),
                        y % 100,
                        text(rng, UPPER, 1),
                        digits(rng, 3)
                    )
                },
                europe::de_social_security,
            );
            shaped(rng, &code, &["############", "## ###### # ###"])
        }
        "FR_NIR" => {
            let code = valid_text(
                rng,
                |rng| {
                    let (y, m, _) = date(rng);
                    format!(
                        "{}{:02}{m:02}{:02}{}{}",
                        rng.u32(1..3),
                        y % 100,
                        rng.u32(1..96),
                        digits(rng, 6),
                        digits(rng, 2)
                    )
                },
                europe::fr_nir,
            );
            shaped(rng, &code, &["###############", "# ## ## ## ### ### ##"])
        }
        _ => return None,
    };
    Some(value)
}

fn south_and_nordic_number(name: &str, rng: &mut Rng) -> Option<String> {
    let value = match name {
        "ES_NIF" => {
            let code = valid_text(
                rng,
                |rng| format!("{}{}", digits(rng, 8), text(rng, UPPER, 1)),
                europe::es_nif,
            );
            shaped(rng, &code, &["#########", "##.###.###-#", "########-#"])
        }
        "ES_NIE" => {
            let code = valid_text(
                rng,
                |rng| {
                    format!(
                        "{}{}{}",
                        text(rng, "XYZ", 1),
                        digits(rng, 7),
                        text(rng, UPPER, 1)
                    )
                },
                europe::es_nie,
            );
            shaped(rng, &code, &["#########", "#-#######-#"])
        }
        "IT_FISCAL_CODE" => valid_text(
            rng,
            |rng| {
                format!(
                    "{}{}{}{:02}{}{}{}",
                    text(rng, UPPER, 6),
                    digits(rng, 2),
                    text(rng, "ABCDEHLMPRST", 1),
                    rng.u32(1..29),
                    text(rng, UPPER, 1),
                    digits(rng, 3),
                    text(rng, UPPER, 1)
                )
            },
            europe::it_fiscal_code,
        ),
        "NL_BSN" => valid(rng, |rng| format!("1{}", digits(rng, 8)), europe::nl_bsn),
        "PT_NIF" => {
            let number = valid(rng, |rng| format!("2{}", digits(rng, 8)), europe::pt_nif);
            shaped(rng, &number, &["#########", "### ### ###"])
        }
        "PL_PESEL" => valid(
            rng,
            |rng| {
                let (y, m, d) = date(rng);
                let m = if y >= 2000 { m + 20 } else { m };
                format!("{:02}{m:02}{d:02}{}", y % 100, digits(rng, 5))
            },
            europe::pl_pesel,
        ),
        "SE_PERSONNUMMER" => {
            let number = valid(
                rng,
                |rng| {
                    let (y, m, d) = date(rng);
                    format!("{:02}{m:02}{d:02}{}", y % 100, digits(rng, 4))
                },
                nordic::personnummer,
            );
            shaped(rng, &number, &["##########", "######-####"])
        }
        "FI_HETU" => valid_text(
            rng,
            |rng| {
                let (y, m, d) = date(rng);
                format!(
                    "{d:02}{m:02}{:02}-{}{}",
                    y % 100,
                    digits(rng, 3),
                    text(rng, "0123456789ABCDEFHJKLMNPRSTUVWXY", 1)
                )
            },
            nordic::hetu,
        ),
        "BE_NRN" => {
            let number = valid(
                rng,
                |rng| {
                    let (y, m, d) = date(rng);
                    format!("{:02}{m:02}{d:02}{}", y % 100, digits(rng, 5))
                },
                europe::be_nrn,
            );
            shaped(rng, &number, &["###########", "##.##.##-###.##"])
        }
        "CH_AHV" => {
            let number = valid(rng, |rng| format!("756{}", digits(rng, 10)), europe::ch_ahv);
            shaped(rng, &number, &["#############", "###.####.####.##"])
        }
        "TR_NATIONAL_ID" => valid(rng, |rng| digits(rng, 11), europe::tr_national_id),
        _ => return None,
    };
    Some(value)
}

fn other_number(name: &str, rng: &mut Rng) -> Option<String> {
    let value = match name {
        "US_SSN" => {
            let number = valid(rng, |rng| digits(rng, 9), americas::ssn);
            shaped(
                rng,
                &number,
                &["###-##-####", "###-##-####", "### ## ####", "#########"],
            )
        }
        "US_ITIN" => {
            let number = valid(rng, |rng| format!("9{}", digits(rng, 8)), americas::itin);
            shaped(rng, &number, &["###-##-####", "#########"])
        }
        "US_NPI" => valid(rng, |rng| format!("1{}", digits(rng, 9)), americas::npi),
        "US_MBI" => valid_text(
            rng,
            |rng| {
                let letters = "ACDEFGHJKMNPQRTUVWXY";
                format!(
                    "{}{}{}{}{}{}{}",
                    rng.u32(1..10),
                    text(rng, letters, 2),
                    digits(rng, 1),
                    text(rng, letters, 2),
                    digits(rng, 1),
                    text(rng, letters, 2),
                    digits(rng, 2)
                )
            },
            americas::mbi,
        ),
        "MEDICAL_LICENSE" => valid_text(
            rng,
            |rng| {
                format!(
                    "{}{}{}",
                    text(rng, "ABFM", 1),
                    text(rng, UPPER, 1),
                    digits(rng, 7)
                )
            },
            americas::dea,
        ),
        "CA_SIN" => {
            let number = valid(rng, |rng| digits(rng, 9), americas::sin);
            shaped(rng, &number, &["#########", "### ### ###", "###-###-###"])
        }
        "BR_CPF" => {
            let number = valid(rng, |rng| digits(rng, 11), americas::cpf);
            shaped(rng, &number, &["###########", "###.###.###-##"])
        }
        "BR_CNPJ" => {
            let number = valid(
                rng,
                |rng| format!("{}0001{}", digits(rng, 8), digits(rng, 2)),
                americas::cnpj,
            );
            shaped(rng, &number, &["##############", "##.###.###/####-##"])
        }
        _ => return None,
    };
    Some(value)
}

fn asian_number(name: &str, rng: &mut Rng) -> Option<String> {
    let value = match name {
        "IN_AADHAAR" => {
            let number = valid(rng, |rng| digits(rng, 12), asia::aadhaar);
            shaped(rng, &number, &["############", "#### #### ####"])
        }
        "IN_PAN" => valid_text(
            rng,
            |rng| {
                format!(
                    "{}P{}{}{}",
                    text(rng, UPPER, 3),
                    text(rng, UPPER, 1),
                    digits(rng, 4),
                    text(rng, UPPER, 1)
                )
            },
            asia::pan,
        ),
        "AU_TFN" => {
            let number = valid(rng, |rng| digits(rng, 9), asia::tfn);
            shaped(rng, &number, &["#########", "### ### ###"])
        }
        "AU_MEDICARE" => {
            let number = valid(rng, |rng| digits(rng, 10), asia::medicare);
            shaped(rng, &number, &["##########", "#### ##### #"])
        }
        "SG_NRIC" => valid_text(
            rng,
            |rng| {
                format!(
                    "{}{}{}",
                    text(rng, "STFG", 1),
                    digits(rng, 7),
                    text(rng, UPPER, 1)
                )
            },
            asia::nric,
        ),
        "CN_ID" => valid_text(
            rng,
            |rng| {
                let (y, m, d) = date(rng);
                format!(
                    "110105{y}{m:02}{d:02}{}{}",
                    digits(rng, 3),
                    text(rng, "0123456789X", 1)
                )
            },
            asia::cn_id,
        ),
        "JP_MY_NUMBER" => {
            let number = valid(rng, |rng| digits(rng, 12), asia::my_number);
            shaped(rng, &number, &["############", "#### #### ####"])
        }
        "KR_RRN" => {
            let number = valid(
                rng,
                |rng| {
                    let (y, m, d) = date(rng);
                    format!(
                        "{:02}{m:02}{d:02}{}{}",
                        y % 100,
                        rng.u32(1..5),
                        digits(rng, 6)
                    )
                },
                asia::rrn,
            );
            shaped(rng, &number, &["######-#######", "#############"])
        }
        _ => return None,
    };
    Some(value)
}

/// Keys are put together from parts, so that no text of this file looks like one.
fn secret(name: &str, rng: &mut Rng) -> Option<String> {
    let value = match name {
        "SECRET" => match rng.u32(0..12) {
            0 => format!("{}-{}", "sk", text(rng, ALNUM, 48)),
            1 => format!("{}_{}", "ghp", text(rng, ALNUM, 36)),
            2 => format!("{}{}", "AKIA", text(rng, UPPER_ALNUM, 16)),
            3 => format!("{}{}", "AIza", text(rng, ALNUM, 35)),
            4 => format!(
                "{}-{}-{}-{}",
                "xoxb",
                digits(rng, 12),
                digits(rng, 12),
                text(rng, ALNUM, 24)
            ),
            5 => format!("{}_{}_{}", "sk", "live", text(rng, ALNUM, 24)),
            6 => format!("{}_{}", "hf", text(rng, ALNUM, 34)),
            7 => format!("{}-{}", "glpat", text(rng, ALNUM, 20)),
            8 => format!("{}-{}-{}", "sk-ant", "api03", text(rng, ALNUM, 60)),
            9 => format!("{}.{}.{}", "SG", text(rng, ALNUM, 22), text(rng, ALNUM, 43)),
            10 => format!(
                "{}{}.{}.{}",
                "eyJ",
                "hbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
                text(rng, ALNUM, 40),
                text(rng, ALNUM, 43)
            ),
            _ => format!("{}_{}", "npm", text(rng, ALNUM, 36)),
        },
        "PASSWORD" => match rng.u32(0..4) {
            0 => format!(
                "{}{}!",
                pick(rng, &["Sommer", "Tiger", "Blue", "Kafka"]),
                rng.u32(10..9999)
            ),
            1 => text(rng, "abcdefghkmnpqrstuvwxyz23456789", 14) + "7",
            2 => format!("{}#{}", text(rng, ALNUM, 6), digits(rng, 3)),
            _ => format!("P@ss{}", text(rng, ALNUM, 7)) + "1",
        },
        "URL_CREDENTIALS" => format!(
            "{}:{}",
            pick(rng, &["app", "admin", "svc_user", "root"]),
            text(rng, ALNUM, 14)
        ),
        _ => return None,
    };
    Some(value)
}
