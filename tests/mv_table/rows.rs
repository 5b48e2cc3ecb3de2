//! The rows: those that were thought of, and products of options with states of source and target.

use crate::row::Row;
use crate::thought_of::THOUGHT_OF;
use crate::world::Device;

/// All of them.
pub(crate) fn all() -> Vec<Row> {
    let mut rows = Vec::new();
    for (setup, lines) in THOUGHT_OF {
        for line in *lines {
            rows.push(Row::new(Device::Same, setup, line));
            rows.push(Row::new(Device::Other, setup, line));
        }
    }
    rows.extend(WORDS.iter().map(|line| Row::new(Device::Same, "a=f b=f d=d", line)));
    rows.extend(HARD_LINKS.iter().map(|(setup, line)| Row::new(Device::Same, setup, line)));
    rows.extend(states());
    rows.extend(options());
    rows.extend(times());
    rows
}

/// What a source is, with what it takes to make it so.
const SOURCES: &[&str] = &["s=f", "s=d", "s=D", "s=p", "S=f s=l:S", "S=D s=l:S", "s=l:nowhere", "s=l:TO/t", "other=f"];

/// What a target is. `TO/T` is what a symlink leads to.
const TARGETS: &[&str] =
    &["", "TO/t=f", "TO/t=f0", "TO/t=d", "TO/t=D", "TO/t=p", "TO/T=f TO/t=l:T", "TO/T=D TO/t=l:T", "TO/t=l:nowhere"];

/// Every kind of source meets every kind of target.
fn states() -> Vec<Row> {
    let mut rows = Vec::new();
    for source in SOURCES {
        for target in TARGETS {
            for line in ["mv s TO/t", "mv -T s TO/t", "mv s/ TO/t", "mv -v s TO/t/"] {
                // Here mv 9.1 judges a target that it could not look at, and says now this, now that.
                if line.ends_with('/') && *target == "TO/t=l:nowhere" {
                    continue;
                }
                let setup = format!("{source} {target}");
                rows.push(Row::new(Device::Same, setup.trim_end(), line));
                rows.push(Row::new(Device::Other, setup.trim_end(), line));
            }
        }
    }
    rows
}

/// Every option meets the usual kinds of both.
fn options() -> Vec<Row> {
    let lines = [
        "mv -n s TO/t",
        "mv -nT s TO/t",
        "mv -u s TO/t",
        "mv -uT s TO/t",
        "mv -b s TO/t",
        "mv -bTv s TO/t",
        "mv -T --backup=t s TO/t",
        "mv -S .o -T s TO/t",
        "mv -f s TO/t",
        "mv -i s TO/t <y",
        "mv -iT s TO/t <n",
        "mv -T s TO/t <tty:y",
        "mv -T s TO/t <tty:no",
        "mv -fT s TO/t <tty:n",
        "mv --strip-trailing-slashes -T s/ TO/t",
    ];
    let sources = ["s=f", "s=d", "s=D", "S=D s=l:S"];
    let targets = ["", "TO/t=f", "TO/t=f0", "TO/t=d", "TO/t=D", "TO/T=f TO/t=l:T", "TO/T=D TO/t=l:T"];
    let mut rows = Vec::new();
    for line in lines {
        for source in sources {
            for target in targets {
                let setup = format!("{source} {target}");
                rows.push(Row::new(Device::Same, setup.trim_end(), line));
                rows.push(Row::new(Device::Other, setup.trim_end(), line));
            }
        }
    }
    rows
}

/// Older, newer, of one age.
fn times() -> Vec<Row> {
    let lines =
        ["mv -u s TO/t", "mv --update s TO/t", "mv -uf s TO/t", "mv -un s TO/t", "mv -ui s TO/t <y", "mv -ub s TO/t"];
    let mut rows = Vec::new();
    for line in lines {
        for source in ["s=f", "s=l:nowhere", "s=D"] {
            for target in ["TO/t=f-", "TO/t=f", "TO/t=f+", "TO/T=f- TO/t=l:T", "TO/t=d+"] {
                let setup = format!("{source} {target}");
                rows.push(Row::new(Device::Same, &setup, line));
                rows.push(Row::new(Device::Other, &setup, line));
            }
        }
    }
    rows
}

/// Command lines that are wrong, or written in an unusual way.
const WORDS: &[&str] = &[
    "mv",
    "mv a",
    "mv -f",
    "mv --",
    "mv -- a",
    "mv -t d",
    "mv -t",
    "mv -S",
    "mv -vt",
    "mv --target-directory",
    "mv --suffix",
    "mv -T",
    "mv -T a",
    "mv -T a b d",
    "mv -T a b c d",
    "mv -T -t d",
    "mv -T -t d a",
    "mv -t d -T a",
    "mv -T -t nosuch a",
    "mv -t d -t d a",
    "mv --target-directory=d -t d a",
    "mv --target-directory= a",
    "mv --nosuch a b",
    "mv --nosuch=x a b",
    "mv -Q a b",
    "mv -vQ a b",
    "mv -fQx a b",
    "mv -u=x a b",
    "mv -vn=1 a b",
    "mv --force=x a b",
    "mv --f=x a b",
    "mv --interactive= a b",
    "mv --no-clobber=1 a b",
    "mv --no-target-directory=x a b",
    "mv --strip-trailing-slashes=x a b",
    "mv --verbose=x a b",
    "mv --context=x a b",
    "mv --help=x",
    "mv --version=x",
    "mv --s a b",
    "mv --su a b",
    "mv --ver a b",
    "mv --v a b",
    "mv --verb a b",
    "mv --fo a b",
    "mv --int a b <y",
    "mv --i a b <n",
    "mv --f a b",
    "mv --no-cl a b",
    "mv --no-t a d",
    "mv --t=d a",
    "mv --t d a b",
    "mv --targ d a",
    "mv --c a b",
    "mv --u a b",
    "mv --upd a b",
    "mv --b a b",
    "mv --back=t a b",
    "mv --st a/ d",
    "mv --no a b",
    "mv --no=x a b",
    "mv --no-c a b",
    "mv --n a b",
    "mv --d a b",
    "mv --e a b",
    "mv --ex a b",
    "mv --backup=foo a b",
    "mv --backup=n a b",
    "mv --backup=Simple a b",
    "mv --backup=foo -b a b",
    "mv --backup=foo",
    "mv --backup=foo a b c",
    "mv --backup=it's a b",
    "VERSION_CONTROL=foo mv -b",
    "VERSION_CONTROL=foo mv -bT a b d",
    "VERSION_CONTROL=ne mv -b a b",
    "mv -b -n a b",
    "mv -n -b a b",
    "mv -bn a",
    "mv -S .x -n a b",
    "mv -n --backup=none a b",
    "mv -n -b -f a b",
    "mv -n -b -i a b <y",
    "mv -f -b -n a b",
    "mv -bS b -v a b",
    "mv -bfv a b",
    "mv -vfTS.x a b",
    "mv a -f b",
    "mv a b -v",
    "mv a -v -- b",
    "mv a -t d b",
    "mv a b -td",
    "mv -t d -- -f a",
    "mv a -- -t d",
    "POSIXLY_CORRECT=1 mv a -f b",
    "POSIXLY_CORRECT=1 mv a b -v",
    "POSIXLY_CORRECT= mv -v a -f",
    "POSIXLY_CORRECT=1 mv -f a -- b",
    "POSIXLY_CORRECT=1 mv -f -- -v b",
    "POSIXLY_CORRECT=1 mv -v a b d",
    "POSIXLY_CORRECT=1 mv -td a b",
    "mv --force --force a b",
    "mv -ffvv a b",
    "mv --update=x a b",
    "mv -uu a b",
    "mv -h a b",
    "mv -V a b",
    "mv -\\x01 a b",
    "mv -\\xc3\\xa9 a b",
    "mv --\\xc3\\xa9 a b",
    "mv --a\\x0ab a b",
    "mv --=x a b",
    "mv --base a b",
    "mv --exchange a b",
    "mv --no-copy a b",
    "mv --debug a b",
    "mv -j 2 a b",
    "mv --version a b",
    "mv a --vers",
    "mv --help",
];

/// Names of one file, which only one device can hold.
const HARD_LINKS: &[(&str, &str)] = &[
    ("a=f h=h:a", "mv a h"),
    ("a=f h=h:a", "mv h a"),
    ("a=f h=h:a", "mv -f a h"),
    ("a=f h=h:a", "mv -n a h"),
    ("a=f h=h:a", "mv -u a h"),
    ("a=f h=h:a", "mv -i a h <y"),
    ("a=f h=h:a", "mv -b a h"),
    ("a=f h=h:a", "mv -bv a h"),
    ("a=f h=h:a", "mv --backup=t a h"),
    ("a=f h=h:a", "mv -T a h"),
    ("a=f h=h:a", "mv a h TO"),
    ("a=f h=h:a", "mv -v h a TO"),
    ("a=f TO/a=h:a", "mv a TO"),
    ("a=f TO/a=h:a", "mv -b a TO"),
    ("a=f TO/a=h:a", "mv -n a TO"),
    ("a=f TO/h=h:a", "mv a TO"),
    ("a=f h=h:a l=l:a", "mv l h"),
    ("a=f h=h:a l=l:a", "mv l a"),
    ("a=f h=h:a l=l:a", "mv h l"),
    ("a=f h=h:a l=l:a", "mv -b l h"),
    ("a=f h=h:a a~=h:a", "mv -b a h"),
    ("a=f h=h:a a~=h:a", "mv -b a~ a"),
    ("a=f h=h:a a~=h:a", "mv --backup=simple h a"),
    ("l=l:nowhere k=h:l", "mv l k"),
    ("p=p q=h:p", "mv p q"),
    ("a=d a/f=f b=d b/f=h:a/f", "mv a/f b/f TO"),
    ("a=d a/f=f b=d b/f=h:a/f", "mv -b a/f b/f TO"),
    ("a=d a/f=f b=d b/f=h:a/f", "mv -f a/f b"),
];
