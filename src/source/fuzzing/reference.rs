//! A plain reading of what patterns mean, to be compared with the one that is in use: no globset, no alphabets, no
//! states, but every alternative and every character one by one.

/// A character, or a byte that belongs to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) enum Letter {
    Char(char),
    Stray(u8),
}

pub(super) fn letters(text: &[u8]) -> Vec<Letter> {
    let chunks = text.utf8_chunks();
    let all = chunks.flat_map(|chunk| {
        let stray = chunk.invalid().iter().map(|&byte| Letter::Stray(byte));
        chunk.valid().chars().map(Letter::Char).chain(stray).collect::<Vec<_>>()
    });
    all.collect()
}

/// What a part of a component stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    One(Letter),
    Any,
    Many,
    Class { members: Vec<(Letter, Letter)>, is_negated: bool },
}

/// What a component stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Component {
    /// `**`
    Directories,
    Name(Vec<Piece>),
}

/// A pattern as the components of its alternatives, and whether each wants a directory.
pub(super) struct Reference(Vec<(Vec<Component>, bool)>);

impl Reference {
    /// None where the rules are silent, or where this reading does not go.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        let mut all = Vec::new();
        for alternative in super::written_out(text)? {
            // What becomes `**` only when it is written out is one component for the program, which is as good.
            let has_stars = |text: &[u8]| text.windows(2).any(|pair| pair == b"**");
            let is_joined = text.windows(2).any(|pair| matches!(pair, b"}*" | b"*{" | b"}{"));
            if has_stars(&alternative) && (is_joined || !has_stars(text)) {
                return None;
            }
            let mut components = Vec::new();
            let parts = split(&letters(&alternative))?;
            let wants_dir = parts.len() > 1 && parts.last().is_some_and(Vec::is_empty);
            // `*/{a,}`: for a shell the slash of the empty alternative counts, for the program it needs a name behind it.
            if wants_dir && !text.ends_with(b"/") {
                return None;
            }
            let parts = if wants_dir { &parts[..parts.len() - 1] } else { &parts[..] };
            if parts.is_empty() || parts == [vec![]] {
                continue;
            }
            for part in parts {
                let is_dots = !part.is_empty() && part.iter().all(|piece| *piece == Piece::One(Letter::Char('.')));
                if part.is_empty() || is_dots && part.len() <= 2 {
                    return None;
                }
                let component = if part[..] == [Piece::Many, Piece::Many] {
                    Component::Directories
                } else if part.windows(2).any(|pair| pair == [Piece::Many, Piece::Many]) {
                    return None;
                } else {
                    Component::Name(part.clone())
                };
                components.push(component);
            }
            if components.last() == Some(&Component::Directories) {
                components.push(Component::Name(vec![Piece::Many]));
            }
            all.push((components, wants_dir));
        }
        Some(Self(all))
    }

    /// A single component; stars in a row are one.
    pub(super) fn of_component(text: &[u8]) -> Option<Self> {
        if text.windows(2).any(|pair| pair == b"**") {
            return None;
        }
        let alternatives = super::written_out(text)?;
        let mut all = Vec::new();
        for alternative in alternatives {
            let parts = split(&letters(&alternative))?;
            let [part] = &parts[..] else { return None };
            all.push((vec![Component::Name(part.clone())], false));
        }
        Some(Self(all))
    }

    /// Whether it is the path of something that is found.
    pub(super) fn matches(&self, path: &[&[u8]], is_dir: bool) -> bool {
        let path: Vec<Vec<Letter>> = path.iter().map(|name| letters(name)).collect();
        self.0.iter().any(|(components, wants_dir)| (is_dir || !wants_dir) && fits(components, &path))
    }

    /// Whether `name` can be meant by a component that has others behind it.
    pub(super) fn names(&self, name: &[u8]) -> bool {
        let name = vec![letters(name)];
        self.0.iter().any(|(components, wants_dir)| {
            (components.len() > 1 || *wants_dir)
                && components.iter().any(|one| !is_wild(one) && fits(std::slice::from_ref(one), &name))
        })
    }
}

fn is_wild(component: &Component) -> bool {
    match component {
        Component::Directories => true,
        Component::Name(pieces) => pieces.iter().any(|piece| !matches!(piece, Piece::One(_))),
    }
}

/// The components of a text without braces. None where a class is such that readings differ.
fn split(text: &[Letter]) -> Option<Vec<Vec<Piece>>> {
    let mut parts = vec![Vec::new()];
    let mut at = 0;
    while at < text.len() {
        let last = parts.last_mut()?;
        match text[at] {
            Letter::Char('/') => parts.push(Vec::new()),
            Letter::Char('\\') => {
                at += 1;
                match *text.get(at)? {
                    Letter::Char('/') => parts.push(Vec::new()),
                    letter => last.push(Piece::One(letter)),
                }
            }
            Letter::Char('*') => last.push(Piece::Many),
            Letter::Char('?') => last.push(Piece::Any),
            Letter::Char('[') => {
                let (class, end) = class(text, at + 1)?;
                last.push(class);
                at = end;
            }
            letter => last.push(Piece::One(letter)),
        }
        at += 1;
    }
    Some(parts)
}

/// The class that begins at `at`, and where its `]` is.
fn class(text: &[Letter], mut at: usize) -> Option<(Piece, usize)> {
    let is_negated = matches!(text.get(at)?, Letter::Char('!' | '^'));
    at += usize::from(is_negated);
    let first = at;
    let end = (first + 1..text.len()).find(|&at| text[at] == Letter::Char(']'))?;
    let inner = &text[first..end];
    // More than one range, or a dash that could be either end of one.
    let is_dash = |letter: &&Letter| **letter == Letter::Char('-');
    let dashes = inner.iter().filter(is_dash).count();
    if dashes > 1 || inner.contains(&Letter::Char('/')) {
        return None;
    }
    let mut members = Vec::new();
    let mut at = 0;
    while at < inner.len() {
        if at + 2 < inner.len() && inner[at + 1] == Letter::Char('-') {
            members.push((inner[at], inner[at + 2]));
            at += 3;
        } else {
            members.push((inner[at], inner[at]));
            at += 1;
        }
    }
    Some((Piece::Class { members, is_negated }, end))
}

fn fits(components: &[Component], path: &[Vec<Letter>]) -> bool {
    let is_dotted = |name: &Vec<Letter>| name.first() == Some(&Letter::Char('.'));
    match (components, path) {
        ([], []) => true,
        ([Component::Directories, rest @ ..], [name, deeper @ ..]) => {
            fits(rest, path) || !is_dotted(name) && !deeper.is_empty() && fits(components, deeper)
        }
        ([Component::Name(pieces), rest @ ..], [name, deeper @ ..]) => {
            let is_allowed = !is_dotted(name) || pieces.first() == Some(&Piece::One(Letter::Char('.')));
            is_allowed && shaped(pieces, name) && fits(rest, deeper)
        }
        _ => false,
    }
}

fn shaped(pieces: &[Piece], name: &[Letter]) -> bool {
    match (pieces, name) {
        ([], []) => true,
        ([Piece::Many, rest @ ..], _) => (0..=name.len()).any(|end| shaped(rest, &name[end..])),
        ([Piece::Any, rest @ ..], [_, deeper @ ..]) => shaped(rest, deeper),
        ([Piece::One(wanted), rest @ ..], [letter, deeper @ ..]) => wanted == letter && shaped(rest, deeper),
        ([Piece::Class { members, is_negated }, rest @ ..], [letter, deeper @ ..]) => {
            let is_member = members.iter().any(|(from, to)| from <= letter && letter <= to);
            is_member != *is_negated && shaped(rest, deeper)
        }
        _ => false,
    }
}
