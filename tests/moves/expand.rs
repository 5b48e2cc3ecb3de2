//! What a pattern stands for: a plain reading of the rules, to be compared with the program's.

use std::collections::BTreeSet;

/// One alternative of a pattern, without braces.
#[derive(Clone, Debug)]
pub struct Alternative {
    /// The directories that are named literally, with their slash.
    pub root: String,
    /// The components below.
    pub steps: Vec<String>,
    pub directories_only: bool,
}

impl Alternative {
    /// What a pattern stands for. It must be well-formed, and no brace may be escaped.
    pub fn all(pattern: &str) -> Vec<Self> {
        braces(pattern).iter().map(|text| Self::of(text)).collect()
    }

    fn of(text: &str) -> Self {
        let directories_only = text.ends_with('/');
        let text = text.trim_end_matches('/');
        let components: Vec<&str> = text.split('/').collect();
        let literal = components.iter().take_while(|one| unescaped(one).is_some()).count();
        // The last component is looked for, even if it is literal.
        let literal = literal.min(components.len() - 1);
        let root = components[..literal].iter().map(|one| unescaped(one).unwrap_or_default() + "/").collect();
        let mut steps: Vec<String> = components[literal..].iter().map(|&one| one.to_owned()).collect();
        if steps.last().is_some_and(|last| last == "**") {
            steps.push("*".into());
        }
        Self { root, steps, directories_only }
    }

    /// The one name that it stands for, if it does.
    pub fn literal(&self) -> Option<String> {
        match &self.steps[..] {
            [name] => {
                let slash = if self.directories_only { "/" } else { "" };
                unescaped(name).map(|name| format!("{}{name}{slash}", self.root))
            }
            _ => None,
        }
    }

    /// Whether the path `names` below the root is a match, and whether there may be one below it.
    pub fn judge(&self, names: &[&str], is_dir: bool) -> (bool, bool) {
        let mut at = self.closure(BTreeSet::from([0]));
        let (mut is_match, mut leads_on) = (false, false);
        for (level, name) in names.iter().enumerate() {
            let is_last = level + 1 == names.len();
            let mut next = BTreeSet::new();
            is_match = false;
            for step in at {
                if self.steps[step] == "**" {
                    if !name.starts_with('.') {
                        next.insert(step);
                    }
                } else if shape(&self.steps[step], name) {
                    if step + 1 == self.steps.len() {
                        is_match |= is_last && (is_dir || !self.directories_only);
                    } else {
                        next.insert(step + 1);
                    }
                }
            }
            at = self.closure(next);
            leads_on = is_dir && !at.is_empty();
        }
        (is_match, leads_on)
    }

    /// `**` may stand for nothing.
    fn closure(&self, mut steps: BTreeSet<usize>) -> BTreeSet<usize> {
        for at in 0..self.steps.len() {
            if steps.contains(&at) && self.steps[at] == "**" {
                steps.insert(at + 1);
            }
        }
        steps
    }
}

/// Braces written out, as a shell does.
fn braces(text: &str) -> Vec<String> {
    let Some(open) = text.find('{').filter(|&at| !text[at..].starts_with("{S}") && !text[at..].starts_with("{T}"))
    else {
        return vec![text.to_owned()];
    };
    let close = open + text[open..].find('}').expect("well-formed");
    let (before, after) = (&text[..open], &text[close + 1..]);
    text[open + 1..close].split(',').flat_map(|one| braces(&format!("{before}{one}{after}"))).collect()
}

/// The name that a component stands for, if it is just one.
fn unescaped(component: &str) -> Option<String> {
    let mut name = String::new();
    let mut letters = component.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => name.push(letters.next()?),
            '*' | '?' | '[' => return None,
            letter => name.push(letter),
        }
    }
    Some(name)
}

/// A component against a name: a leading dot must be matched by a dot.
fn shape(shape: &str, name: &str) -> bool {
    let is_dotted = shape.starts_with('.') || shape.starts_with("\\.");
    (is_dotted || !name.starts_with('.')) && fits(shape, name)
}

fn fits(shape: &str, name: &str) -> bool {
    let Some(first) = shape.chars().next() else { return name.is_empty() };
    let rest = &shape[first.len_utf8()..];
    let mut letters = name.chars();
    let letter = letters.next();
    match first {
        '*' => fits(rest, name) || letter.is_some() && fits(shape, letters.as_str()),
        '?' => letter.is_some() && fits(rest, letters.as_str()),
        '[' => {
            let end = rest.find(']').expect("well-formed");
            let (members, rest) = (&rest[..end], &rest[end + 1..]);
            let (members, is_negated) = members.strip_prefix('!').map_or((members, false), |members| (members, true));
            letter.is_some_and(|letter| members.contains(letter) != is_negated) && fits(rest, letters.as_str())
        }
        '\\' => {
            let escaped = rest.chars().next();
            escaped.is_some() && escaped == letter && fits(&rest[1..], letters.as_str())
        }
        plain => Some(plain) == letter && fits(rest, letters.as_str()),
    }
}
