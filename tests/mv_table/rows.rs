//! The rows: those that were thought of, and products of options with states of source and target.

use crate::row::Row;
use crate::world::Device;

/// All of them.
pub fn all() -> Vec<Row> {
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
const SOURCES: &[&str] =
    &["s=f", "s=d", "s=D", "s=p", "S=f s=l:S", "S=D s=l:S", "s=l:nowhere", "s=l:TO/t", "other=f"];

/// What a target is. `TO/T` is what a symlink leads to.
const TARGETS: &[&str] =
    &["", "TO/t=f", "TO/t=f0", "TO/t=d", "TO/t=D", "TO/t=p", "TO/T=f TO/t=l:T", "TO/T=D TO/t=l:T", "TO/t=l:nowhere"];

/// Every kind of source meets every kind of target.
fn states() -> Vec<Row> {
    let mut rows = Vec::new();
    for source in SOURCES {
        for target in TARGETS {
            for line in ["mv s TO/t", "mv -T s TO/t", "mv s/ TO/t", "mv -v s TO/t/"] {
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

/// Set-ups with command lines that somebody has thought of; on one device and across.
const THOUGHT_OF: &[(&str, &[&str])] = &[
    (
        "a=f b=f c=f d=D e=d",
        &[
            "mv a b TO",
            "mv a b c d e TO",
            "mv -t TO a b",
            "mv a b -t TO",
            "mv -tTO a",
            "mv --target-directory TO -- a b",
            "mv --target=TO a",
            "mv -T a TO/new",
            "mv -T a b",
            "mv -T d e",
            "mv -T d TO/new/",
            "mv d TO/new/",
            "mv d/ TO",
            "mv d/// e TO",
            "mv a TO/new/",
            "mv a/ TO",
            "mv a/ TO/new",
            "mv a/x TO",
            "mv a TO/no/new",
            "mv a b TO/no",
            "mv a b c TO/no/no",
            "mv gone TO",
            "mv gone a TO",
            "mv a gone b TO",
            "mv gone/x TO",
            "mv gone/ TO/new",
            "mv gone TO/no/new",
            "mv -n gone TO/new",
            "mv -b gone TO/new",
            "mv -t TO/no a",
            "mv -t a b",
            "mv a b c",
            "mv a a",
            "mv a ./a",
            "mv -b a a",
            "mv -n a a",
            "mv -u a a",
            "mv -i a a <y",
            "mv a .",
            "mv -b a .",
            "mv ./a TO/.",
            "mv d/../a TO",
            "mv d/x a TO",
            "mv d d",
            "mv d d/new",
            "mv -T d d/new",
            "mv d d/sub",
            "mv -T d d/sub",
            "mv -b d d/sub",
            "mv -n d d/sub",
            "mv d/sub d",
            "mv d/sub .",
            "mv d a d/sub",
            "mv a a TO",
            "mv a ./a TO",
            "mv -f a a TO",
            "mv d d TO",
            "mv d d/ TO",
            "mv d ./d e TO",
            "mv . TO",
            "mv .. TO",
            "mv d/. TO",
            "mv d/.. TO",
            "mv ./. TO",
            "mv d/sub/.. TO",
            "mv . TO/new",
            "mv -T . TO/new",
            "mv -n . TO",
            "mv / TO",
            "mv // TO",
            "mv a /",
            "mv -T a /",
            "mv -T a .",
            "mv -T d .",
            "mv -T d ..",
            "mv EMPTY TO",
            "mv a EMPTY",
            "mv -T a EMPTY",
            "mv -t EMPTY a",
            "mv EMPTY a b TO",
            "mv -v a TO",
            "mv -v a b e TO",
            "mv -v a gone TO",
            "mv -fv a b",
            "mv -bv a b",
            "mv -vT a TO/new",
            "mv --strip-trailing-slashes a/ TO",
            "mv --strip-trailing-slashes a/// TO/new",
            "mv --strip-trailing-slashes d/ e/ TO",
            "mv --strip-trailing-slashes -v d// TO",
            "mv --strip-trailing-slashes gone/ TO",
            "mv --strip-trailing-slashes / TO",
            "mv --strip-trailing-slashes a TO/new/",
            "mv --strip-trailing-slashes -T d/ e/",
            "mv --st d/./ TO",
            "mv -Z a TO",
            "mv --context a b TO",
            "mv -f -Z -v a TO",
            "mv -- a TO",
            "mv a -- b TO",
            "mv -i a TO",
            "mv -i a b <n,y",
            "mv -i a b <Yes",
            "mv -i a b <yo",
            "mv -i a b <\\x20y",
            "mv -i a b <",
            "mv -i a b",
            "mv -ib a b <y",
            "mv -if a b <n",
            "mv -fi a b <n",
            "mv -in a b <y",
            "mv -ni a b <y",
            "mv -nf a b <n",
            "mv -i d e <y",
            "mv -iT d e <y",
        ],
    ),
    (
        "a=f b=f TO/a=f TO/b=f0 TO/c=f",
        &[
            "mv a b TO",
            "mv -n a b TO",
            "mv -i a b TO <y,n",
            "mv -i a b TO <n,y",
            "mv -i a b TO <y",
            "mv -i a b TO",
            "mv -iv a b TO <y,y",
            "mv -b a b TO",
            "mv -bv a b TO",
            "mv -u a b TO",
            "mv -f a b TO <tty:n,n",
            "mv a b TO <tty:n,n",
            "mv a b TO <tty:y,y",
            "mv -v a b TO <tty:y,y",
            "mv -u a b TO <tty:y,y",
            "mv -n a b TO <tty:y,y",
            "mv -i a b TO <tty:y,y",
            "mv -b a b TO <tty:y,y",
            "mv b TO/c <tty:n",
            "mv b TO/b",
            "mv b TO/b <y",
            "root mv b TO/b <tty:n",
            "root mv -i b TO/b <tty:y",
            "root mv -b a b TO <tty:y",
        ],
    ),
    ("s=f TO/t=f00", &["mv s TO/t", "mv -i s TO/t <y", "mv s TO/t <tty:y", "mv s TO/t <tty:n", "mv -b s TO/t <tty:y"]),
    (
        "s=f TO/t=f TO/t~=f- TO/t.~1~=f- TO/t.~3~=f",
        &[
            "mv -b s TO/t",
            "mv -bv s TO/t",
            "mv --backup s TO/t",
            "mv --backup= s TO/t",
            "mv --backup=simple s TO/t",
            "mv --backup=never s TO/t",
            "mv --backup=s s TO/t",
            "mv --backup=existing s TO/t",
            "mv --backup=nil s TO/t",
            "mv --backup=ni s TO/t",
            "mv --backup=numbered s TO/t",
            "mv --backup=t s TO/t",
            "mv --backup=nu s TO/t",
            "mv --backup=none s TO/t",
            "mv --backup=off s TO/t",
            "mv --backup=o s TO/t",
            "mv --b=simple -v s TO/t",
            "mv -S .x s TO/t",
            "mv -S.x s TO/t",
            "mv --suffix=.x --backup=simple s TO/t",
            "mv --su=.x --backup=simple s TO/t",
            "mv -S EMPTY --backup=simple s TO/t",
            "mv -S a/b --backup=simple s TO/t",
            "mv -S .x -S .y --backup=simple s TO/t",
            "mv --backup=simple -b s TO/t",
            "mv --backup=simple --backup s TO/t",
            "mv -b --backup=none s TO/t",
            "VERSION_CONTROL=simple mv -b s TO/t",
            "VERSION_CONTROL=none mv -b s TO/t",
            "VERSION_CONTROL=simple mv s TO/t",
            "VERSION_CONTROL=simple mv --backup=t s TO/t",
            "VERSION_CONTROL=simple mv -S .x s TO/t",
            "VERSION_CONTROL= mv -b s TO/t",
            "VERSION_CONTROL=foo mv -b s TO/t",
            "VERSION_CONTROL=n mv -b s TO/t",
            "VERSION_CONTROL=foo mv s TO/t",
            "VERSION_CONTROL=foo mv --backup=t s TO/t",
            "SIMPLE_BACKUP_SUFFIX=.o mv --backup=simple s TO/t",
            "SIMPLE_BACKUP_SUFFIX= mv --backup=simple s TO/t",
            "SIMPLE_BACKUP_SUFFIX=a/b mv --backup=simple s TO/t",
            "SIMPLE_BACKUP_SUFFIX=.o mv -S .x --backup=simple s TO/t",
            "SIMPLE_BACKUP_SUFFIX=.o mv s TO/t",
        ],
    ),
    // What a backup would destroy, and what it makes way for.
    ("a=f a~=f", &["mv -b a~ a", "mv --backup=simple a~ a", "mv --backup=t a~ a", "mv -b a a~", "mv -S ~ a~ a TO"]),
    ("a=f TO/a=f TO/a~=d", &["mv -b a TO", "mv --backup=t a TO", "mv -bv a TO", "mv -b -S .o a TO"]),
    ("d=D TO/d=D TO/d~=D", &["mv -b d TO", "mv -bT d TO/d", "mv -T --backup=t d TO/d", "mv -bTv d TO/d"]),
    ("a=f d=D TO/a=D TO/d=f", &["mv a d TO", "mv -b a d TO", "mv -bv a d TO", "mv -n a d TO", "mv -u a d TO", "mv -i a d TO <y,y"]),
    (
        "a=d b=d a/f=f b/f=f c=d TO/x=d",
        &["mv a/f b/f c", "mv a/f b/f TO", "mv -f a/f b/f TO", "mv -n a/f b/f TO", "mv -b a/f b/f TO", "mv -i a/f b/f TO <y,y", "mv -u a/f b/f TO", "mv -v a/f b/f TO", "mv --backup=t a/f b/f TO"],
    ),
    ("a=d b=d a/d=D b/d=d b/d/z=f", &["mv a/d b/d TO", "mv b/d a/d TO", "mv -b a/d b/d TO", "mv -n a/d b/d TO"]),
    // Links, and what they lead to.
    (
        "f=f l=l:f d=D ld=l:d n=l:nowhere ll=l:l loop=l:loop",
        &[
            "mv l f",
            "mv f l",
            "mv -b l f",
            "mv -b f l",
            "mv -T l f",
            "mv ll f",
            "mv ll l",
            "mv l ll",
            "mv -n l f",
            "mv -i l f <y",
            "mv ld d",
            "mv d ld",
            "mv -T d ld",
            "mv -T ld d",
            "mv f ld",
            "mv -T f ld",
            "mv -t ld f",
            "mv f ld/",
            "mv f n",
            "mv n f",
            "mv f loop",
            "mv loop f",
            "mv -t loop f",
            "mv f l n loop",
            "mv l ld n ll loop TO",
            "mv ld/ TO",
            "mv ld/ TO/new",
            "mv l/ TO",
            "mv n/ TO",
            "mv loop/ TO",
            "mv ld/. TO",
            "mv ld/x TO",
            "mv --strip-trailing-slashes ld/ TO",
            "mv --strip-trailing-slashes ld/ TO/new",
            "mv --strip-trailing-slashes l/ n/ TO",
            "mv -v ld TO",
        ],
    ),
    // Names.
    (
        "a\\x20b=f it's=f q\"q=f $x=f -v=f new\\x0aline=f tab\\x09=f \\x1b[2J=f gr\\xc3\\xbcn=f back\\\\slash=f *=f TO/it's=f",
        &[
            "mv -v a\\x20b TO",
            "mv -bv it's TO",
            "mv -v q\"q TO",
            "mv -v $x TO",
            "mv -v -- -v TO",
            "mv -v ./-v TO",
            "mv -v new\\x0aline TO",
            "mv -v tab\\x09 TO",
            "mv -v \\x1b[2J TO",
            "mv -v gr\\xc3\\xbcn TO",
            "mv -v back\\\\slash TO",
            "mv -v * TO",
            "mv *x TO",
            "mv - TO",
            "mv - TO/new",
            "mv -i a\\x20b TO/it's <n",
            "mv it's/ TO",
            "mv it's'\"x TO",
            "mv $x\\x0a' TO",
            "mv \\xc2\\x85 TO",
            "mv gone\\x07\\x08\\x0b\\x0c\\x0d\\x7f TO",
        ],
    ),
    // What may not be.
    ("a=f r=d0 TO/r=d0", &["mv a r", "mv a TO/r", "mv -b a TO/r", "mv -v a TO/r/new", "mv r TO", "mv -t TO/r a", "mv r TO/new"]),
    ("d=D TO/d=d TO/e=d TO/f=D", &["mv d TO", "mv d TO/e", "mv -T d TO/e", "mv -T d TO/f", "mv -n d TO", "mv -nT d TO/e", "mv -v d TO", "mv -u d TO", "mv -i d TO <y", "mv d TO/f", "mv -fT d TO/f", "mv -vT d TO/e"]),
    ("d=D p=p l=l:d TO/d=f TO/p=p TO/l=f", &["mv d p l TO", "mv -v p l TO", "mv -i p l TO <y,y", "mv -b d p l TO", "mv -n d p l TO"]),
];

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
