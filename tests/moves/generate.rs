//! Trees and command lines at random. Names come from a small alphabet, so that they meet, and everything shrinks
//! towards few files, short paths and plain options.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::command::{Command, DestKind, ListFrom, Policy, Sources, Word};
use super::world::{Entry, Side, What};

/// A tree on each side, and what is to be done with them.
#[derive(Clone, Debug)]
pub struct Case {
    pub entries: Vec<Entry>,
    pub command: Command,
}

/// What symlinks hold: names of the alphabet, also on the other side, and what leads nowhere.
const LINKS: &[&str] =
    &["a", "b", "c", "a/b", "b/a", "../a", "../b", "../c/a", "{T}/a", "{T}/b/a", "{T}", "{S}/a", "{S}", ".", "nowhere"];

/// Patterns in which `expand` and the program can differ in nothing but a mistake.
const PATTERNS: &[&str] = &[
    "*", "a*", "*a", "?", "[ab]", "[!a]*", ".*", "{a,b}*", "{a,b}", "{b,c/a}", "*/*", "*/a", "a/*", "./*", "**",
    "**/a", "**/*a", "a/**", "*/", "**/", "b*/c*", "{a,b}/*", "a\\**", "a\\*", "**/.h", "*/.h/*", "nothing*", "c/a*",
    "{T}/*", "{T}/a/*", "{S}/b/*", "?/b", "[abc]", "*/**/b",
];

fn name() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => select(&["a", "b", "c"][..]), 1 => select(&[".h", "a*", "b c", "a?"][..])]
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        5 => prop_oneof![4 => 1..40_usize, 1 => select(&[0, 5000, 200_000][..])].prop_map(What::File),
        3 => Just(What::Dir),
        3 => (0..4_usize).prop_map(What::HardLink),
        2 => select(LINKS).prop_map(What::Symlink),
        1 => Just(What::Fifo),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let side = prop_oneof![3 => Just(Side::From), 1 => Just(Side::To)];
    let mode = select(&[0o644, 0o600, 0o755, 0o444, 0o4755, 0o1777][..]);
    (side, vec(name(), 1..4), what(), mode, 0..2_000_000_000_i64, any::<bool>())
        .prop_map(|(side, path, what, mode, mtime, has_xattr)| Entry { side, path, what, mode, mtime, has_xattr })
}

/// A source: mostly relative.
fn word() -> impl Strategy<Value = Word> {
    let side = prop_oneof![8 => Just(None), 2 => Just(Some(Side::To)), 1 => Just(Some(Side::From))];
    let slashes = prop_oneof![8 => Just(0_usize), 1 => Just(1), 1 => Just(2)];
    (side, any::<bool>(), vec(name(), 1..4), slashes, 0..20_u8).prop_map(|(side, has_dot, names, slashes, chance)| {
        match chance {
            // `./`, which is nothing that can be moved.
            19 => Word { side: None, has_dot: true, names: Vec::new(), slashes },
            _ => Word { side, has_dot: has_dot && chance > 14, names, slashes },
        }
    })
}

fn sources() -> impl Strategy<Value = Sources> {
    let words = (vec(word(), 1..5), any::<bool>(), any::<bool>()).prop_map(|(operands, is_literal, allow_empty)| {
        Sources::Words { operands, patterns: Vec::new(), is_literal, allow_empty }
    });
    let patterns = (vec(word(), 0..2), vec(select(PATTERNS), 1..3), any::<bool>()).prop_map(
        |(operands, patterns, allow_empty)| Sources::Words { operands, patterns, is_literal: false, allow_empty },
    );
    let how = select(&[ListFrom::Dash, ListFrom::Input, ListFrom::File][..]);
    let list =
        (vec(word(), 0..6), any::<bool>(), how).prop_map(|(words, null, how)| Sources::List { words, null, how });
    prop_oneof![3 => words, 2 => patterns, 2 => list]
}

fn dest() -> impl Strategy<Value = Word> {
    let to = |names| Word { side: Some(Side::To), has_dot: false, names, slashes: 0 };
    prop_oneof![
        4 => Just(to(Vec::new())),
        3 => (vec(name(), 1..3), 0..2_usize).prop_map(move |(names, slashes)| Word { slashes, ..to(names) }),
        2 => word(),
        1 => Just(Word { side: None, has_dot: true, names: Vec::new(), slashes: 0 }),
    ]
}

pub fn command() -> impl Strategy<Value = Command> {
    let kind = prop_oneof![4 => Just(DestKind::Operand), 1 => Just(DestKind::Directory), 1 => Just(DestKind::Name)];
    let policy = prop_oneof![
        3 => Just(Policy::Default),
        2 => Just(Policy::NoClobber),
        2 => select(&[Policy::Fail, Policy::KeepBoth, Policy::SimpleBackup, Policy::NumberedBackup][..]),
        1 => select(&[Policy::Force, Policy::ForceNoClobber, Policy::NoClobberForce][..]),
    ];
    (sources(), dest(), kind, policy, 1..5_u8, prop::bool::weighted(0.3), prop::bool::weighted(0.2)).prop_map(
        |(sources, dest, kind, policy, jobs, syncs, has_base)| {
            tidy(Command { sources, dest, kind, policy, jobs, syncs, has_base })
        },
    )
}

/// Makes sense of what would be a usage error.
fn tidy(mut command: Command) -> Command {
    if command.kind == DestKind::Name {
        // A name that ends in a slash stands for a directory that is there, which has tests of its own.
        command.dest.slashes = 0;
        if command.dest.names.is_empty() {
            command.dest.names = vec!["a"];
        }
        match &mut command.sources {
            // -T takes one name, and no pattern.
            Sources::Words { operands, patterns, is_literal, .. } if patterns.is_empty() => {
                operands.truncate(1);
                *is_literal = true;
            }
            _ => command.kind = DestKind::Operand,
        }
    }
    // DEST is not relative to the base.
    if command.has_base && command.dest.side.is_none() {
        command.dest = Word { side: Some(Side::From), has_dot: false, ..command.dest };
    }
    command
}

pub fn case() -> impl Strategy<Value = Case> {
    (vec(entry(), 0..12), command()).prop_map(|(entries, command)| Case { entries, command })
}

/// Much to move, most of it by pattern, and nothing that is refused but by chance.
pub fn busy_case() -> impl Strategy<Value = Case> {
    let patterns = &["*", "*", "**/*a", "[!a]*", "*/", "?", ".*", "*/*", "{a,b}*", "b/**"][..];
    let patterns = vec(select(patterns), 1..3).prop_map(|patterns| Sources::Words {
        operands: Vec::new(),
        patterns,
        is_literal: false,
        allow_empty: true,
    });
    let sources = prop_oneof![3 => patterns, 1 => sources()];
    let dest = prop_oneof![3 => Just(Vec::new()), 1 => vec(name(), 1..2)];
    (vec(entry(), 8..40), command(), sources, dest).prop_map(|(entries, command, sources, names)| {
        let dest = Word { side: Some(Side::To), has_dot: false, names, slashes: 0 };
        let command =
            Command { sources, dest, kind: DestKind::Operand, syncs: command.syncs || command.jobs > 1, ..command };
        Case { entries, command }
    })
}

/// A tree to be moved as a whole, and one of the two patterns for all of it.
pub fn everything() -> impl Strategy<Value = (Vec<Entry>, Option<u8>)> {
    let from = entry().prop_map(|entry| Entry { side: Side::From, ..entry });
    (vec(from, 1..16), option::of(1..5_u8))
}
