//! CSV and markdown tables: which header cell stands above a value.

use std::ops::Range;

use super::bytes::{at, cut, line_end};

/// A block of lines with the same separator.
#[derive(Debug)]
struct Block {
    lines: Range<usize>,
    header: Range<usize>,
    separator: u8,
}

/// The tables of one text, in order.
#[derive(Debug, Default)]
pub(super) struct Tables {
    blocks: Vec<Block>,
}

impl Tables {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut tables = Self::default();
        let mut open: Option<Block> = None;
        let mut start = 0;
        while start < bytes.len() {
            let end = line_end(bytes, start);
            let separator = separator_of(cut(bytes, start..end));
            match (&mut open, separator) {
                (Some(block), Some(separator)) if block.separator == separator => {
                    block.lines.end = end
                }
                _ => {
                    tables.blocks.extend(open.take());
                    open = separator.map(|separator| Block {
                        lines: start..end,
                        header: start..end,
                        separator,
                    });
                }
            }
            start = end + 1;
        }
        tables.blocks.extend(open);
        tables
            .blocks
            .retain(|block| block.lines.end > block.header.end);
        tables
    }

    /// The header cell above `index`; `None` outside of tables and in the header itself.
    pub(super) fn header_cell(&self, bytes: &[u8], index: usize) -> Option<Range<usize>> {
        let next = self
            .blocks
            .partition_point(|block| block.lines.start <= index);
        let block = self.blocks.get(next.checked_sub(1)?)?;
        if index <= block.header.end || index > block.lines.end {
            return None;
        }
        let line = super::bytes::line_start(bytes, index);
        let column = separators(cut(bytes, line..index), block.separator);
        cell(bytes, &block.header, block.separator, column)
    }
}

impl Tables {
    /// The cells of the column whose header cell holds `index`, without quotes and spaces.
    pub(super) fn column(&self, bytes: &[u8], index: usize) -> Vec<Range<usize>> {
        let next = self
            .blocks
            .partition_point(|block| block.lines.start <= index);
        let block = next.checked_sub(1).and_then(|i| self.blocks.get(i));
        let Some(block) = block.filter(|block| index < block.header.end) else {
            return Vec::new();
        };
        let column = separators(cut(bytes, block.header.start..index), block.separator);
        let mut cells = Vec::new();
        let mut start = block.header.end + 1;
        while start < block.lines.end {
            let end = line_end(bytes, start);
            cells.extend(
                cell(bytes, &(start..end), block.separator, column)
                    .map(|range| inner(bytes, range)),
            );
            start = end + 1;
        }
        cells
    }
}

/// A cell without quotes and spaces around.
fn inner(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let mut range = range;
    while range.start < range.end && b" \"'`".contains(&at(bytes, range.start)) {
        range.start += 1;
    }
    while range.start < range.end && b" \"'`\r".contains(&at(bytes, range.end - 1)) {
        range.end -= 1;
    }
    range
}

/// The separator of a line that can belong to a table.
fn separator_of(line: &[u8]) -> Option<u8> {
    if line.len() > 4096 {
        return None;
    }
    let count = |separator| memchr::memchr_iter(separator, line).count();
    [(b'|', 2), (b'\t', 1), (b';', 1), (b',', 1)]
        .into_iter()
        .find(|&(separator, least)| count(separator) >= least)
        .map(|(separator, _)| separator)
}

/// Places of the separators that stand outside of double quotes.
fn separator_places(line: &[u8], separator: u8) -> impl Iterator<Item = usize> {
    let mut quoted = false;
    line.iter().enumerate().filter_map(move |(at, &byte)| {
        quoted ^= byte == b'"';
        (byte == separator && !quoted).then_some(at)
    })
}

fn separators(line: &[u8], separator: u8) -> usize {
    separator_places(line, separator).count()
}

fn cell(bytes: &[u8], line: &Range<usize>, separator: u8, column: usize) -> Option<Range<usize>> {
    let header = cut(bytes, line.clone());
    let mut places = separator_places(header, separator);
    let start = if column == 0 {
        0
    } else {
        places.nth(column - 1)? + 1
    };
    let end = places.next().unwrap_or(header.len());
    Some(line.start + start..line.start + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, value: &str, header: Option<&str>) {
        let tables = Tables::new(text.as_bytes());
        let index = text.find(value).unwrap();
        let cell = tables.header_cell(text.as_bytes(), index);
        assert_eq!(cell.map(|cell| text[cell].trim()), header);
    }

    #[test]
    fn a_separator_in_quotes_ends_no_column() {
        let text =
            "id,\"city, state\",ssn\n1,\"Springfield, IL\",078051120\n2,\"Austin, TX\",078051121\n";
        check(text, "078051120", Some("ssn"));
        check(text, "078051121", Some("ssn"));
    }

    #[test]
    fn headers_of_csv_and_markdown() {
        check("name,ssn\nAda,123", "123", Some("ssn"));
        check("name;x;ssn\nAda;\"a;b\";123\nBob;c;9\n", "9", Some("ssn"));
        check(
            "| name | ssn |\n|---|---|\n| Ada | 123 |",
            "123",
            Some("ssn"),
        );
        check("name,ssn\nAda,123", "name", None);
        check("one, two\n\nthree 3", "3", None);
    }
}
