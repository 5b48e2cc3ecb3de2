//! How long the pure parts take for each name, with no system call in between.
//!
//!     cargo bench --bench parts --features bench-parts
//!
//! Names and numbers are those of a run over some ten thousand files. What a whole run costs is not in here: see
//! `benches/README.md`.
#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "divan makes public items of benches")]
#![allow(clippy::wildcard_imports, reason = "the groups of one file share what they need")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use divan::counter::{BytesCount, ItemsCount};
use divan::{AllocProfiler, Bencher, black_box};

use pmove::bench_parts::{LiveLine, Patterns, Plan, count_names};
use pmove::error::Quoted;
use pmove::report::{Counters, Phase, renamed};
use pmove::source::{Candidate, Hint, Origin};

/// Has divan say what is allocated as well.
#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// Names in a corpus.
const NAMES: usize = 10_000;

fn main() {
    divan::main();
}

/// `part-000123.csv`, and every tenth one something else.
fn names() -> Vec<String> {
    let extension = |number| if number % 10 == 0 { "parquet" } else { "csv" };
    (0..NAMES).map(|number| format!("part-{number:06}.{}", extension(number))).collect()
}

#[divan::bench_group]
mod pattern {
    use super::*;

    const PATTERNS: [&str; 5] =
        ["*.csv", "part-*", "part-[0-9]*.{csv,tsv}", "part-??????.csv", "*[0-9]{1,2,3}5.{csv,tsv,txt,json}"];

    #[divan::bench(args = PATTERNS)]
    fn name(bencher: Bencher, pattern: &str) {
        let mut patterns = Patterns::parse(pattern.as_bytes()).expect("a pattern");
        let names = names();
        let count = || names.iter().filter(|name| patterns.find(&[], black_box(name.as_bytes()))).count();
        bencher.counter(ItemsCount::new(NAMES)).bench_local(count);
    }

    /// Names that are not ASCII, for which characters have to be told from bytes.
    #[divan::bench]
    fn name_in_german(bencher: Bencher) {
        let mut patterns = Patterns::parse("[äöü]*-??????.csv".as_bytes()).expect("a pattern");
        let names: Vec<String> = (0..NAMES).map(|number| format!("übertrag-{number:06}.csv")).collect();
        let count = || names.iter().filter(|name| patterns.find(&[], black_box(name.as_bytes()))).count();
        bencher.counter(ItemsCount::new(NAMES)).bench_local(count);
    }

    #[divan::bench(args = ["*/*/*/*.csv", "**/*.csv", "{2023,2024}/**/raw/part-*.csv", "**/raw/**/*.csv"])]
    fn path(bencher: Bencher, pattern: &str) {
        let mut patterns = Patterns::parse(pattern.as_bytes()).expect("a pattern");
        let names = names();
        let directories: [&[u8]; 3] = [b"2024", b"11", b"raw"];
        let count = || names.iter().filter(|name| patterns.find(&directories, black_box(name.as_bytes()))).count();
        bencher.counter(ItemsCount::new(NAMES)).bench_local(count);
    }

    #[divan::bench(args = ["*.csv", "in/{2023,2024}/**/raw/part-[0-9]*.{csv,tsv}", "{a,b}{c,d}{e,f}{g,h}{i,j}/*.csv"])]
    fn parse(pattern: &str) -> usize {
        size_of_val(&Patterns::parse(black_box(pattern.as_bytes())).expect("a pattern"))
    }

    /// As many as are allowed, all literal: each of them is a name.
    #[divan::bench]
    fn parse_8192_alternatives(bencher: Bencher) {
        let pattern = "{a,b}".repeat(13);
        bencher.counter(ItemsCount::new(8192_usize)).bench(|| Patterns::parse(black_box(pattern.as_bytes())));
    }
}

#[divan::bench_group]
mod list {
    use super::*;

    fn list(separator: u8) -> &'static [u8] {
        let lines = names().into_iter().map(|name| [b"data/2024/11/raw/", name.as_bytes(), &[separator]].concat());
        Vec::leak(lines.collect::<Vec<_>>().concat())
    }

    fn read(bencher: Bencher, separator: u8) {
        let list = list(separator);
        bencher
            .counter(ItemsCount::new(NAMES))
            .counter(BytesCount::of_slice(list))
            .bench(|| assert_eq!(count_names(black_box(list), separator), NAMES));
    }

    #[divan::bench]
    fn newline(bencher: Bencher) {
        read(bencher, b'\n');
    }

    #[divan::bench]
    fn nul(bencher: Bencher) {
        read(bencher, 0);
    }
}

#[divan::bench_group]
mod planning {
    use super::*;

    /// More than elsewhere, because the filters of a planner take 16 MiB of new memory once.
    const NAMES: usize = 100_000;

    /// Candidates as they come: all of one directory, then the next one.
    fn candidates(root: &Path, directories: usize, origin: Origin) -> Vec<Candidate> {
        let place = |number: usize| root.join(format!("{:03}", number * directories / NAMES));
        for number in (0..NAMES).step_by(NAMES / directories) {
            fs::create_dir_all(place(number)).expect("a directory");
        }
        let candidate = |number| {
            let path: Box<[u8]> = place(number).join(format!("part-{number:06}.csv")).as_os_str().as_bytes().into();
            Candidate { trusted: path.len(), path, origin, hint: Hint::Unknown }
        };
        (0..NAMES).map(candidate).collect()
    }

    /// Each directory is opened once; beside that there are no system calls.
    fn plan(bencher: Bencher, directories: usize, origin: Origin) {
        let root = tempfile::tempdir_in("/dev/shm").expect("a directory");
        let target = root.path().join("target");
        fs::create_dir(&target).expect("a directory");
        let candidates = candidates(root.path(), directories, origin);
        bencher
            .counter(ItemsCount::new(NAMES))
            .with_inputs(|| (Plan::into(&target).expect("a directory"), candidates.clone()))
            .bench_local_values(|(mut plan, candidates)| {
                let planned = candidates.into_iter().filter_map(|candidate| plan.plan(candidate).then_some(())).count();
                (planned, plan)
            });
    }

    #[divan::bench(args = [1, 100])]
    fn listed(bencher: Bencher, directories: usize) {
        plan(bencher, directories, Origin::List);
    }

    #[divan::bench(args = [1, 100])]
    fn operands(bencher: Bencher, directories: usize) {
        plan(bencher, directories, Origin::Operand);
    }
}

#[divan::bench_group]
mod quoting {
    use super::*;

    const NAMES: [(&str, &[u8]); 5] = [
        ("plain", b"data/2024/11/raw/part-000123.csv"),
        ("spaces", b"Holiday pictures/Summer 2024/IMG 0123 (copy).jpeg"),
        ("apostrophe", b"it's/here's a name/that's longer.txt"),
        ("umlauts", "Übergröße/Bücher für später/Straßenbahn.txt".as_bytes()),
        ("control", b"odd\x1b[2J\nname\xff\xfe/with\tall\rof it.txt"),
    ];

    #[divan::bench(args = NAMES.map(|(kind, _)| kind))]
    fn path(bencher: Bencher, kind: &str) {
        let bytes = NAMES.iter().find(|(name, _)| *name == kind).map_or(&b""[..], |(_, bytes)| bytes);
        let path = OsStr::from_bytes(bytes);
        bencher.counter(BytesCount::of_slice(bytes)).bench(|| Quoted(black_box(path)).to_string());
    }

    /// A line of `-v`.
    #[divan::bench]
    fn line() -> String {
        let path = |text: &'static str| PathBuf::from(black_box(text));
        renamed(&path("data/2024/11/raw/part-000123.csv"), &path("/mnt/archive/part-000123.csv"), None)
    }
}

#[divan::bench_group]
mod progress {
    use super::*;

    /// What a worker does for a file; with two threads, beside another one.
    #[divan::bench(threads = [1, 2])]
    fn count(bencher: Bencher) {
        let counters = Counters::default();
        bencher.counter(ItemsCount::new(1_usize)).bench(|| {
            counters.moved(1);
            counters.copied(4096);
        });
    }

    /// What is done ten times a second.
    #[divan::bench]
    fn redraw(bencher: Bencher) {
        let counters = Counters::default();
        counters.known(40_000);
        counters.known_bytes(40_000 << 12);
        counters.listing_done();
        counters.sizes_done();
        counters.phase(Phase::Copying);
        let mut line = LiveLine::new();
        let mut elapsed = Duration::ZERO;
        bencher.bench_local(|| {
            elapsed += Duration::from_millis(100);
            counters.moved(1);
            counters.copied(4096);
            line.sample(&counters, elapsed)
        });
    }
}
