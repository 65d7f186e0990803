//! What of a faulty file can still be read, so that its other errors show in the same round.
//!
//! Members that break the schema are left out, and misspelled ones are taken for what they were probably meant to be.
//! What is found later about a member that was left out, or that one was left out of, would be a consequence rather
//! than a fault of its own: it is not told.

use crate::check;
use crate::diagnostic::{Diagnostic, nearest};
use crate::yaml::{Data, Member, Node, join};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// A tree that keeps to its schema, and what is missing from it.
pub(crate) struct Salvaged {
    /// The tree.
    pub node: Node,
    /// What was left out.
    pub gaps: Gaps,
}

/// What was left out of a tree.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gaps {
    /// Paths.
    left_out: Vec<String>,
    /// Of lists that lost items: the number that each remaining item had.
    numbers: HashMap<String, Vec<usize>>,
}

impl Gaps {
    /// A later finding with its path in the file; `None` if it comes from what was left out.
    pub fn own(&self, mut found: Diagnostic) -> Option<Diagnostic> {
        found.path = self.original(&found.path);
        let path = found.path.as_str();
        let consequence = self
            .left_out
            .iter()
            .any(|gap| is_below(path, gap) || parent(gap) == Some(path));
        (!consequence).then_some(found)
    }

    /// A path with the numbers that items have in the file.
    fn original(&self, path: &str) -> String {
        let mut out = String::new();
        let mut rest = path;
        while let Some((before, tail)) = rest.split_once('[') {
            out.push_str(before);
            let Some((number, after)) = tail.split_once(']') else {
                break;
            };
            let numbers = self.numbers.get(&out);
            let item = number.parse::<usize>().ok();
            let original = numbers.zip(item).and_then(|(all, item)| all.get(item));
            match original {
                Some(original) => out.push_str(&format!("[{original}]")),
                None => out.push_str(&format!("[{number}]")),
            }
            rest = after;
        }
        out + rest
    }
}

fn is_below(path: &str, top: &str) -> bool {
    let rest = path.strip_prefix(top);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The section that a member stands in.
fn parent(path: &str) -> Option<&str> {
    path.get(..path.rfind(['.', '['])?)
}

/// What can be read of `node` by `schema`; `None` if that is nothing.
pub(crate) fn salvage(node: Node, schema: &Value) -> Option<Salvaged> {
    let mut gaps = Gaps::default();
    let node = Salvage {
        root: schema,
        gaps: &mut gaps,
    }
    .node(node, schema, "")?;
    Some(Salvaged { node, gaps })
}

struct Salvage<'a> {
    root: &'a Value,
    gaps: &'a mut Gaps,
}

impl Salvage<'_> {
    fn node(&mut self, node: Node, schema: &Value, path: &str) -> Option<Node> {
        let resolved = check::fitting(check::resolve(schema, self.root).0, &node);
        let place = node.place;
        // A limit is read as a whole or not at all.
        let whole = check::is_limit(resolved);
        let data = match (node.data, check::kind(resolved)) {
            (Data::Map(members), "object") if !whole => {
                Data::Map(self.members(members, resolved, path)?)
            }
            (Data::List(items), "array") => Data::List(self.items(items, resolved, path)),
            (data, _) => {
                let node = Node { place, data };
                let good = check::check_at(&node, schema, self.root, path).is_empty();
                return if good { Some(node) } else { self.leave(path) };
            }
        };
        Some(Node { place, data })
    }

    fn leave<T>(&mut self, path: &str) -> Option<T> {
        self.gaps.left_out.push(path.to_owned());
        None
    }

    fn members(&mut self, members: Vec<Member>, schema: &Value, path: &str) -> Option<Vec<Member>> {
        let empty = Map::new();
        let known = schema.get("properties").and_then(Value::as_object);
        let known = known.unwrap_or(&empty);
        let others = schema.get("additionalProperties").filter(|o| o.is_object());
        let mut kept: Vec<Member> = Vec::new();
        for mut member in members {
            if others.is_none() && !known.contains_key(&member.key) {
                self.leave::<()>(&join(path, &member.key));
                let Some(meant) = nearest(&member.key, known.keys().map(String::as_str)) else {
                    continue;
                };
                member.key = meant.to_owned();
            }
            let at = join(path, &member.key);
            let Some(schema) = known.get(&member.key).or(others) else {
                continue;
            };
            let place = member.value.place;
            let value = self.node(member.value, schema, &at);
            // Other sections may name an entry that is left out: it stays, without anything in it.
            let blank = || {
                let bare = check::resolve(schema, self.root).0;
                let may = others == Some(schema)
                    && check::kind(bare) == "object"
                    && bare.get("required").is_none();
                may.then(|| Node {
                    place,
                    data: Data::Map(Vec::new()),
                })
            };
            if let Some(value) = value.or_else(blank)
                && kept.iter().all(|other| other.key != member.key)
            {
                kept.push(Member { value, ..member });
            }
        }
        let required = schema.get("required").and_then(Value::as_array);
        let mut required = required.into_iter().flatten().filter_map(Value::as_str);
        if required.all(|name| kept.iter().any(|member| member.key == name)) {
            Some(kept)
        } else {
            self.leave(path)
        }
    }

    fn items(&mut self, items: Vec<Node>, schema: &Value, path: &str) -> Vec<Node> {
        let item_schema = schema.get("items").unwrap_or(&Value::Null);
        let mut numbers = Vec::new();
        let mut kept = Vec::new();
        for (number, item) in items.into_iter().enumerate() {
            if let Some(item) = self.node(item, item_schema, &format!("{path}[{number}]")) {
                numbers.push(number);
                kept.push(item);
            }
        }
        self.gaps.numbers.insert(path.to_owned(), numbers);
        kept
    }
}
