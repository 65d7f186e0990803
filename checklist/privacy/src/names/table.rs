//! What single words and phrases are known to be: one hash table from word key to role bits.
//!
//! A slot keeps 32 bits of the key and not the word, so 150,000 words take 2 MiB. Two different words share a slot
//! with a chance of about 2^-32 for each look-up; the harm would be one word taken for a name.

/// Role bits of a word. A word can have several.
pub mod role {
    pub const FIRST: u32 = 1;
    pub const LAST: u32 = 1 << 1;
    /// In a dictionary in small letters.
    pub const COMMON: u32 = 1 << 2;
    /// A function word of some language.
    pub const STOP: u32 = 1 << 3;
    pub const BRAND: u32 = 1 << 4;
    /// A small place.
    pub const PLACE: u32 = 1 << 5;
    /// A country, a state or a city that everyone knows.
    pub const MAJOR: u32 = 1 << 6;
    /// First word of a place of several words.
    pub const PLACE_START: u32 = 1 << 7;
    pub const TITLE: u32 = 1 << 8;
    pub const OFFICE: u32 = 1 << 9;
    pub const POST: u32 = 1 << 10;
    pub const PARTICLE: u32 = 1 << 11;
    pub const SUFFIX: u32 = 1 << 12;
    pub const GROUP: u32 = 1 << 13;
    pub const TAIL: u32 = 1 << 14;
    pub const LEAD: u32 = 1 << 15;
    pub const LEGAL: u32 = 1 << 16;
    pub const HEAD: u32 = 1 << 17;
    pub const STATE: u32 = 1 << 18;
    pub const SAYS: u32 = 1 << 19;
    pub const OWNED: u32 = 1 << 20;
    pub const WITH: u32 = 1 << 21;
    pub const KEY: u32 = 1 << 22;
    pub const MAYBE_KEY: u32 = 1 << 23;
    pub const ORG_KEY: u32 = 1 << 24;
    pub const PLACE_KEY: u32 = 1 << 25;
    /// First a name, though dictionaries have it.
    pub const GIVEN: u32 = 1 << 26;
    /// A surname that is a word, yet trusted after a first name.
    pub const TOP_SURNAME: u32 = 1 << 27;
    /// Last word of a cue phrase.
    pub const CUE_END: u32 = 1 << 28;
    /// Before a person whom no list knows.
    pub const PREP: u32 = 1 << 29;
    /// Before a place.
    pub const IN: u32 = 1 << 30;
    /// A first name that is believed in small letters too.
    pub const FREQUENT: u32 = 1 << 31;
}

/// The table: open addressing with linear probing.
#[derive(Debug)]
pub struct Table {
    slots: Vec<Slot>,
    used: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Slot {
    tag: u32,
    roles: u32,
}

impl Table {
    /// An empty table for about `words` words.
    pub fn with_capacity(words: usize) -> Self {
        let size = (words.max(8) * 2).next_power_of_two();
        Self {
            slots: vec![Slot::default(); size],
            used: 0,
        }
    }

    /// Adds roles to a word. Ignored when the table is nearly full, so that a look-up always ends.
    pub fn add(&mut self, key: u64, roles: u32) {
        let full = self.used * 8 >= self.slots.len() * 7;
        let place = self.find(key);
        let Some(slot) = self.slots.get_mut(place) else {
            return;
        };
        if slot.roles == 0 {
            if full {
                return;
            }
            slot.tag = tag(key);
            self.used += 1;
        }
        slot.roles |= roles;
    }

    /// All roles of a word; 0 if it is not known.
    pub fn get(&self, key: u64) -> u32 {
        self.slots.get(self.find(key)).map_or(0, |slot| slot.roles)
    }

    /// Words in the table.
    #[cfg(test)]
    pub const fn len(&self) -> usize {
        self.used
    }

    /// Bytes on the heap.
    #[cfg(test)]
    pub const fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }

    fn find(&self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut place = low(key) & mask;
        while let Some(slot) = self.slots.get(place) {
            if slot.roles == 0 || slot.tag == tag(key) {
                return place;
            }
            place = (place + 1) & mask;
        }
        place
    }
}

fn tag(key: u64) -> u32 {
    u32::try_from(key >> 32).unwrap_or(0)
}

fn low(key: u64) -> usize {
    usize::try_from(key & 0xffff_ffff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::fold::Key;
    use super::*;

    #[test]
    fn roles_add_up_and_unknown_words_have_none() {
        let mut table = Table::with_capacity(4);
        table.add(Key::of("Rosa"), role::FIRST);
        table.add(Key::of("rosa"), role::COMMON);
        assert_eq!(table.get(Key::of("ROSA")), role::FIRST | role::COMMON);
        assert_eq!(table.get(Key::of("Rose")), 0);
    }

    #[test]
    fn a_full_table_still_answers() {
        let mut table = Table::with_capacity(1);
        for word in 0..1000 {
            table.add(Key::of(&word.to_string()), role::FIRST);
        }
        assert!(table.len() < table.slots.len());
        assert_eq!(table.get(Key::of("absent")), 0);
    }
}
