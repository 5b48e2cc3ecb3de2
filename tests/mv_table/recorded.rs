//! What mv 9.11 has and 9.1 has not: rows whose outcome is written down here, as the manual of 9.11 has it.

use std::fs;
use std::path::Path;

use crate::common::run::Pmove;
use crate::promises;
use crate::row::Row;
use crate::world::{Device, World};

/// A set-up and a line; then status, standard output and standard error, and what is there afterwards.
type Recorded = (Device, &'static str, &'static str, i32, &'static str, &'static str, &'static str);

use Device::{Other, Same};

const HINT: &str = "Try 'mv --help' for more information.\n";

const ROWS: &[Recorded] = &[
    // --update
    (Same, "s=f TO/t=f", "mv --update=all s TO/t", 0, "", "", "TO/t=f:s"),
    (Same, "s=f TO/t=f-", "mv --update=none s TO/t", 0, "", "", "s=f:s TO/t=f-:t"),
    (Other, "s=f TO/t=f-", "mv --update=none s TO/t", 0, "", "", "s=f:s TO/t=f-:t"),
    (Same, "s=f", "mv --update=none s TO/t", 0, "", "", "TO/t=f:s"),
    (Same, "s=f TO/t=f-", "mv --update=none-fail s TO/t", 1, "", "mv: not replacing 'TO/t'\n", "s=f:s TO/t=f-:t"),
    (Other, "s=f TO/t=f-", "mv --update=none-fail s TO/t", 1, "", "mv: not replacing 'TO/t'\n", "s=f:s TO/t=f-:t"),
    (Same, "s=f TO/t=f-", "mv --update=none-f s TO/t", 1, "", "mv: not replacing 'TO/t'\n", "s=f:s TO/t=f-:t"),
    (Same, "s=f", "mv --update=none-fail s TO/t", 0, "", "", "TO/t=f:s"),
    (
        Same,
        "a=f b=f TO/a=f",
        "mv --update=none-fail a b TO",
        1,
        "",
        "mv: not replacing 'TO/a'\n",
        "a=f:a TO/a=f:a TO/b=f:b",
    ),
    (Same, "s=f TO/t=f-", "mv --update=older s TO/t", 0, "", "", "TO/t=f:s"),
    (Other, "s=f TO/t=f+", "mv --update=o s TO/t", 0, "", "", "s=f:s TO/t=f+:t"),
    (Same, "s=f TO/t=f-", "mv --upd s TO/t", 0, "", "", "TO/t=f:s"),
    // The last one counts, but for -n, which is none.
    (Same, "s=f TO/t=f+", "mv -u --update=all s TO/t", 0, "", "", "TO/t=f:s"),
    (Same, "s=f TO/t=f+", "mv --update=all -u s TO/t", 0, "", "", "s=f:s TO/t=f+:t"),
    (Same, "s=f TO/t=f-", "mv --update=none --update s TO/t", 0, "", "", "TO/t=f:s"),
    (Same, "s=f TO/t=f-", "mv -n --update=all s TO/t", 0, "", "", "s=f:s TO/t=f-:t"),
    (Same, "s=f TO/t=f-", "mv --update=none-fail -n s TO/t", 0, "", "", "s=f:s TO/t=f-:t"),
    (Same, "s=f TO/t=f-", "mv -n -f --update=none-fail s TO/t", 1, "", "mv: not replacing 'TO/t'\n", "s=f:s TO/t=f-:t"),
    (Same, "s=f TO/t=f-", "mv -i --update=none s TO/t <y", 0, "", "", "s=f:s TO/t=f-:t"),
    (
        Same,
        "s=f TO/t=f",
        "mv --update=non s TO/t",
        1,
        "",
        "mv: ambiguous argument 'non' for '--update'\nValid arguments are:\n  - 'all'\n  - 'none'\n  - 'none-fail'\n  - 'older'\nHINT",
        "s=f:s TO/t=f:t",
    ),
    // --exchange
    (Same, "s=f TO/t=f-", "mv --exchange s TO/t", 0, "", "", "s=f-:t TO/t=f:s"),
    (Same, "s=f TO/t=f-", "mv --ex -v s TO/t", 0, "exchanged 's' <-> 'TO/t'\n", "", "s=f-:t TO/t=f:s"),
    (Same, "s=f TO/s=f-", "mv --exchange s TO", 0, "", "", "s=f-:s TO/s=f:s"),
    (Same, "s=f TO/s=f-", "mv --exchange -t TO s", 0, "", "", "s=f-:s TO/s=f:s"),
    (Same, "s=f TO/d=d", "mv --exchange -T s TO/d", 0, "", "", "s/ TO/d=f:s"),
    (Same, "s=f TO/t=f", "mv --exchange --no-copy s TO/t", 0, "", "", "s=f:t TO/t=f:s"),
    (
        Same,
        "s=f",
        "mv --exchange s TO/t",
        1,
        "",
        "mv: cannot exchange 's' and 'TO/t': No such file or directory\n",
        "s=f:s",
    ),
    (
        Other,
        "s=f TO/t=f",
        "mv --exchange s TO/t",
        1,
        "",
        "mv: cannot exchange 's' and 'TO/t': Invalid cross-device link\n",
        "s=f:s TO/t=f:t",
    ),
    // --no-copy
    (Same, "s=f", "mv --no-copy s TO", 0, "", "", "TO/s=f:s"),
    (Other, "s=f", "mv --no-copy s TO", 1, "", "mv: cannot move 's' to 'TO/s': Invalid cross-device link\n", "s=f:s"),
    (Other, "s=d", "mv --no-co s TO", 1, "", "mv: cannot move 's' to 'TO/s': Invalid cross-device link\n", "s/"),
    // --debug
    (Same, "s=f", "mv --debug s TO/t", 0, "renamed 's' -> 'TO/t'\n", "", "TO/t=f:s"),
    (Same, "s=f TO/t=f", "mv --debug -n s TO/t", 0, "skipped 'TO/t'\n", "", "s=f:s TO/t=f:t"),
    (Same, "s=f TO/t=f", "mv --deb --update s TO/t", 0, "skipped 'TO/t'\n", "", "s=f:s TO/t=f:t"),
    // What does not go together.
    (Same, "a=f b=f", "mv -b --exchange a b", 1, "", "BACKUP", "a=f:a b=f:b"),
    (Same, "a=f b=f", "mv -S .o --exchange a b", 1, "", "BACKUP", "a=f:a b=f:b"),
    (Same, "a=f b=f", "mv --backup --update=none-fail a b", 1, "", "BACKUP", "a=f:a b=f:b"),
    (Same, "a=f b=f", "mv -nb a b", 1, "", "BACKUP", "a=f:a b=f:b"),
    (Same, "a=f", "mv --exchange=x a b", 1, "", "mv: option '--exchange' doesn't allow an argument\nHINT", "a=f:a"),
    (
        Same,
        "a=f",
        "mv --no-c a b",
        1,
        "",
        "mv: option '--no-c' is ambiguous; possibilities: '--no-clobber' '--no-copy'\nHINT",
        "a=f:a",
    ),
];

const NO_BACKUP: &str = "mv: cannot combine --backup with --exchange, -n, or --update=none-fail\nHINT";

#[test]
fn cli_what_newer_releases_of_mv_know_is_known() {
    let worlds = [World::new(Same), World::new(Other)];
    for (device, setup, line, code, stdout, stderr, there) in ROWS {
        let (row, world) = (Row::new(*device, setup, line), &worlds[usize::from(*device == Other)]);
        let outcome = row.run(Pmove::new().called("mv"), world);
        let stderr = stderr.replace("BACKUP", NO_BACKUP).replace("HINT", HINT);
        let name = row.name();
        assert_eq!((outcome.code, &*outcome.stdout, &*outcome.stderr), (Some(*code), *stdout, &*stderr), "{name}");
        assert_eq!([listed(&world.from, ""), listed(&world.to, "TO/")].concat().join(" "), *there, "{name}");
    }
}

/// What is directly in a directory, with what the files hold.
fn listed(dir: &Path, prefix: &str) -> Vec<String> {
    let tell = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            return format!("{prefix}{name}/");
        }
        format!("{prefix}{name}={}", fs::read_to_string(path).unwrap().replace(' ', ":"))
    };
    promises::entries(dir).iter().map(tell).collect()
}
