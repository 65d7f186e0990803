//! The numbers that consist of digits only: length, grouping, check and what may stand alone.
//!
//! A check digit lets one random number in ten through, and five nine-digit schemes together
//! let through about forty in a hundred. Such numbers need a word that names them.

use super::entity::{EntityKind, Strength};
use super::validate::{americas, asia, bank, europe, nordic};
use super::words::Topic;

/// When a number of a scheme counts without a word that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alone {
    Never,
    /// In its official grouping, with separators.
    Grouped,
    /// Also as bare digits, if nothing names it as something else.
    Unlabelled,
    /// Always, if nothing names it as a thing.
    Always,
}

/// One kind of number.
#[derive(Debug)]
pub(super) struct Scheme {
    pub kind: &'static EntityKind,
    pub topic: Topic,
    /// Set of allowed lengths, bit n = n digits.
    pub lengths: u32,
    pub check: fn(&[u8]) -> bool,
    pub alone: Alone,
    /// Official groupings, as digits per group.
    pub groups: &'static [&'static [u8]],
    pub strength: Strength,
    pub rule: &'static str,
}

const fn len(n: u32) -> u32 {
    1 << n
}

/// One row of the table; the strength is that of a check digit.
const fn row(
    kind: &'static EntityKind,
    topic: Topic,
    lengths: u32,
    check: fn(&[u8]) -> bool,
) -> Scheme {
    let strength = Strength::Checksum;
    Scheme {
        kind,
        topic,
        lengths,
        check,
        alone: Alone::Never,
        groups: &[],
        strength,
        rule: "check digit",
    }
}

/// The schemes of each length, as bits by their place in the table.
static BY_LENGTH: [u64; 32] = by_length();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, where a wrong index is an error"
)]
const fn by_length() -> [u64; 32] {
    let mut sets = [0; 32];
    let mut length = 0;
    while length < 32 {
        let mut index = 0;
        while index < SCHEMES.len() {
            if SCHEMES[index].lengths >> length & 1 == 1 {
                sets[length] |= 1 << index;
            }
            index += 1;
        }
        length += 1;
    }
    sets
}

/// The schemes of numbers with so many digits, in the order of the table.
pub(super) fn of_length(digits: usize) -> impl Iterator<Item = &'static Scheme> {
    let mut set = BY_LENGTH.get(digits).copied().unwrap_or(0);
    std::iter::from_fn(move || {
        let index = usize::try_from(set.trailing_zeros()).unwrap_or(usize::MAX);
        set &= set.wrapping_sub(1);
        SCHEMES.get(index)
    })
}

pub(super) static SCHEMES: &[Scheme] = &[
    Scheme {
        alone: Alone::Always,
        groups: &[
            &[4, 4, 4, 4],
            &[4, 6, 5],
            &[4, 6, 4],
            &[4, 4, 4, 4, 3],
            &[4, 4, 4, 4, 2],
            &[8, 8],
            &[6, 13],
        ],
        rule: "luhn + iin",
        ..row(
            &EntityKind::CreditCard,
            Topic::Card,
            0xF << 16 | 0b11 << 14,
            bank::card,
        )
    },
    // Unlisted ranges, and lengths that article numbers (EAN-13) and ids collide with.
    Scheme {
        groups: &[
            &[4, 4, 4, 4],
            &[4, 4, 4, 1],
            &[4, 3, 3, 3],
            &[4, 4, 5],
            &[4, 4, 4],
        ],
        rule: "luhn",
        ..row(
            &EntityKind::CreditCard,
            Topic::Card,
            0xFF << 12,
            bank::any_card,
        )
    },
    Scheme {
        alone: Alone::Grouped,
        groups: &[&[3, 2, 4]],
        strength: Strength::Context,
        rule: "issued ranges",
        ..row(&EntityKind::UsSsn, Topic::Ssn, len(9), americas::ssn)
    },
    Scheme {
        alone: Alone::Grouped,
        groups: &[&[3, 2, 4]],
        strength: Strength::Context,
        rule: "issued ranges",
        ..row(&EntityKind::UsItin, Topic::Itin, len(9), americas::itin)
    },
    // Never issued, but somebody wrote it as theirs: mistyped, or from a test.
    Scheme {
        alone: Alone::Grouped,
        groups: &[&[3, 2, 4]],
        strength: Strength::Context,
        rule: "grouped, never issued",
        ..row(
            &EntityKind::UsSsn,
            Topic::Ssn,
            len(9),
            americas::unissued_ssn,
        )
    },
    row(&EntityKind::UsNpi, Topic::Npi, len(10), americas::npi),
    row(&EntityKind::AbaRouting, Topic::Routing, len(9), bank::aba),
    Scheme {
        groups: &[&[3, 3, 4]],
        ..row(&EntityKind::UkNhs, Topic::Nhs, len(10), europe::nhs)
    },
    Scheme {
        alone: Alone::Unlabelled,
        groups: &[&[2, 3, 3, 3], &[3, 3, 3, 2], &[3, 4, 4]],
        rule: "iso 7064 + digit counts",
        ..row(
            &EntityKind::DeTaxId,
            Topic::DeTax,
            len(11),
            europe::de_tax_id,
        )
    },
    Scheme {
        groups: &[&[3, 3, 3], &[4, 2, 3], &[4, 3, 2]],
        ..row(
            &EntityKind::NlBsn,
            Topic::Bsn,
            len(8) | len(9),
            europe::nl_bsn,
        )
    },
    Scheme {
        groups: &[&[3, 3, 3]],
        ..row(&EntityKind::PtNif, Topic::PtNif, len(9), europe::pt_nif)
    },
    Scheme {
        alone: Alone::Unlabelled,
        groups: &[&[6, 5]],
        rule: "date + check digit",
        ..row(
            &EntityKind::PlPesel,
            Topic::Pesel,
            len(11),
            europe::pl_pesel,
        )
    },
    Scheme {
        alone: Alone::Grouped,
        groups: &[&[6, 4], &[8, 4]],
        rule: "date + luhn",
        ..row(
            &EntityKind::SePersonnummer,
            Topic::Personnummer,
            len(10) | len(12),
            nordic::personnummer,
        )
    },
    Scheme {
        alone: Alone::Grouped,
        groups: &[&[2, 2, 2, 3, 2], &[6, 3, 2]],
        rule: "date + mod 97",
        ..row(&EntityKind::BeNrn, Topic::BeNrn, len(11), europe::be_nrn)
    },
    Scheme {
        alone: Alone::Always,
        groups: &[&[3, 4, 4, 2]],
        ..row(&EntityKind::ChAhv, Topic::Ahv, len(13), europe::ch_ahv)
    },
    row(
        &EntityKind::TrNationalId,
        Topic::TrId,
        len(11),
        europe::tr_national_id,
    ),
    Scheme {
        alone: Alone::Unlabelled,
        groups: &[&[3, 3, 3, 2], &[9, 2]],
        rule: "two check digits",
        ..row(&EntityKind::BrCpf, Topic::Cpf, len(11), americas::cpf)
    },
    Scheme {
        alone: Alone::Unlabelled,
        groups: &[&[2, 3, 3, 4, 2], &[8, 4, 2], &[8, 6]],
        rule: "two check digits",
        ..row(&EntityKind::BrCnpj, Topic::Cnpj, len(14), americas::cnpj)
    },
    Scheme {
        groups: &[&[3, 3, 3]],
        rule: "luhn",
        ..row(&EntityKind::CaSin, Topic::Sin, len(9), americas::sin)
    },
    Scheme {
        alone: Alone::Grouped,
        groups: &[&[4, 4, 4]],
        rule: "verhoeff",
        ..row(
            &EntityKind::InAadhaar,
            Topic::Aadhaar,
            len(12),
            asia::aadhaar,
        )
    },
    Scheme {
        groups: &[&[3, 3, 3], &[3, 3, 2]],
        ..row(&EntityKind::AuTfn, Topic::Tfn, len(8) | len(9), asia::tfn)
    },
    Scheme {
        alone: Alone::Grouped,
        groups: &[&[4, 5, 1], &[4, 5, 1, 1], &[4, 5, 2]],
        ..row(
            &EntityKind::AuMedicare,
            Topic::Medicare,
            len(10) | len(11),
            asia::medicare,
        )
    },
    Scheme {
        groups: &[&[4, 4, 4]],
        ..row(
            &EntityKind::JpMyNumber,
            Topic::MyNumber,
            len(12),
            asia::my_number,
        )
    },
    Scheme {
        alone: Alone::Unlabelled,
        groups: &[&[6, 7]],
        rule: "date + check digit",
        ..row(&EntityKind::KrRrn, Topic::Rrn, len(13), asia::rrn)
    },
    Scheme {
        alone: Alone::Grouped,
        groups: &[&[6, 7]],
        strength: Strength::Context,
        rule: "date + sex digit",
        ..row(&EntityKind::KrRrn, Topic::Rrn, len(13), asia::rrn_shape)
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groupings_add_up_to_an_allowed_length() {
        for scheme in SCHEMES {
            for group in scheme.groups {
                let sum: u8 = group.iter().sum();
                assert!(
                    scheme.lengths & len(sum.into()) != 0,
                    "{:?} {group:?}",
                    scheme.kind
                );
            }
        }
    }
}
