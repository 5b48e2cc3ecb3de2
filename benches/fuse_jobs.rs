//! How many workers a mount far away takes: `-j` from 1 to 64, and `auto`, on a FUSE file system of our own on which every
//! request takes a millisecond. `sudo cargo bench --bench fuse_jobs` prints the table; `-- --help` says what it takes.
//!
//! Interleaved rounds, each with a corpus of its own and a look at what has arrived. The other side is an ext4.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark's report, and a panic where it cannot be had"
)]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/fuse/mod.rs"]
mod fuse;
#[path = "../tests/promises/mod.rs"]
mod promises;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;

use common::mount::{FsType, LoopFs};
use common::run::Pmove;
use fuse::Fuse;

/// Directories, and files in each of them.
const DIRS: usize = 100;
const FILES: usize = 20;

/// Each file has so many bytes.
const BYTES: usize = 4096;

/// What takes longer is timed twice. Seconds.
const LONG: f64 = 8.0;

/// Times `-j N` and `-j auto` on a FUSE mount that answers late
#[derive(Parser)]
struct Options {
    /// What is given to -j
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16,32,64,auto")]
    jobs: Vec<String>,
    /// Only rows whose names hold this
    #[arg(long, default_value = "")]
    only: String,
    /// Rounds
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// What each request takes. Milliseconds
    #[arg(long, default_value_t = 1.0)]
    delay: f64,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// How the files are named.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As one directory.
    Tree,
    /// By a list, into directories like those that they come from.
    ListParents,
    /// By a list, into one directory.
    ListFlat,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    ToFuse,
    FromFuse,
}

struct Row {
    form: Form,
    way: Way,
    sync: &'static str,
}

impl Row {
    fn all() -> Vec<Self> {
        let mut rows = Vec::new();
        for form in [Form::Tree, Form::ListParents, Form::ListFlat] {
            for way in [Way::ToFuse, Way::FromFuse] {
                rows.extend(["auto", "none"].map(|sync| Self { form, way, sync }));
            }
        }
        rows
    }

    fn name(&self) -> String {
        let form = match self.form {
            Form::Tree => "tree",
            Form::ListParents => "list --parents",
            Form::ListFlat => "list, one target",
        };
        let way = if self.way == Way::ToFuse { "local → FUSE" } else { "FUSE → local" };
        let sync = if self.sync == "auto" { "durable" } else { "--sync none" };
        format!("{form}, {way}, {sync}")
    }

    /// Moves a corpus. Seconds.
    fn time(&self, jobs: &str, sides: &Sides, delay: Duration) -> f64 {
        let (from, to) = sides.fresh(self.way);
        let list = build(&from.join("tree"));
        let mut pmove = Pmove::new().args(["-j", jobs, "--sync", self.sync]).cwd(&from).timeout(Duration::from_mins(5));
        pmove = match self.form {
            Form::Tree => pmove.args(["tree"]).arg(&to),
            Form::ListParents => pmove.args(["--parents", "-0", "-"]).arg(&to).stdin(list),
            Form::ListFlat => pmove.args(["-0", "-"]).arg(&to).stdin(list),
        };
        // What was written, and remembered, while nothing took long is not to help.
        rustix::fs::syncfs(fs::File::open(sides.local.path()).unwrap()).unwrap();
        std::thread::sleep(Duration::from_millis(1100));
        sides.fuse.set_delay(delay);
        let begun = Instant::now();
        let output = pmove.run();
        let took = begun.elapsed().as_secs_f64();
        sides.fuse.set_delay(Duration::ZERO);
        output.ok();
        check(self.form, &from, &to);
        fs::remove_dir_all(from).unwrap();
        fs::remove_dir_all(to).unwrap();
        took
    }
}

/// Both file systems.
struct Sides {
    fuse: Fuse,
    local: LoopFs,
}

impl Sides {
    /// An empty directory on each, where from and where to.
    fn fresh(&self, way: Way) -> (PathBuf, PathBuf) {
        let [far, near] = [self.fuse.path(), self.local.path()].map(|path| path.join("bench"));
        fs::create_dir(&far).unwrap();
        fs::create_dir(&near).unwrap();
        if way == Way::ToFuse { (near, far) } else { (far, near) }
    }
}

/// Makes the files. Returns the list of them, as `find -print0` has it.
fn build(root: &Path) -> Vec<u8> {
    let mut list = String::new();
    for dir in 0..DIRS {
        let path = root.join(format!("d{dir:02}"));
        fs::create_dir_all(&path).unwrap();
        for file in 0..FILES {
            let name = format!("f{dir:02}-{file:02}");
            fs::write(path.join(&name), vec![b'x'; BYTES]).unwrap();
            write!(list, "tree/d{dir:02}/{name}\0").unwrap();
        }
    }
    list.into_bytes()
}

fn check(form: Form, from: &Path, to: &Path) {
    fn files(dir: &Path) -> usize {
        let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
        entries.map(|entry| if entry.file_type().unwrap().is_dir() { files(&entry.path()) } else { 1 }).sum()
    }
    assert_eq!((files(from), files(to)), (0, DIRS * FILES), "not everything has moved");
    assert!(form != Form::Tree || !from.join("tree").exists(), "the source is still there");
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    f64::midpoint(times[times.len() / 2], times[(times.len() - 1) / 2])
}

fn main() {
    let options = Options::parse();
    if !options.bench {
        // `cargo test --benches` starts every benchmark without a word.
        println!("Nothing is timed: cargo bench --bench fuse_jobs does that, as root.");
        return;
    }
    let sides = Sides { fuse: Fuse::far_away(), local: LoopFs::new(FsType::Ext4, 512) };
    let delay = Duration::from_secs_f64(options.delay / 1e3);
    println!(
        "{} files in {DIRS} directories, {} ms a request, medians of {} rounds (two where it takes {LONG} s), seconds\n",
        DIRS * FILES,
        options.delay,
        options.rounds
    );
    println!(
        "| work | {} | best: times as fast as -j 1 | auto: times as fast as the best |",
        options.jobs.iter().map(|jobs| format!("-j {jobs}")).collect::<Vec<_>>().join(" | ")
    );
    println!("|---|{}---|---|", "---|".repeat(options.jobs.len()));
    for row in Row::all().iter().filter(|row| row.name().contains(&options.only)) {
        let mut times = vec![Vec::new(); options.jobs.len()];
        for round in 0..options.rounds {
            for turn in 0..options.jobs.len() {
                let which = (round + turn) % options.jobs.len();
                // What takes long is steady, and need not be waited for so often.
                if times[which].len() < 2 || median(&times[which]) < LONG {
                    times[which].push(row.time(&options.jobs[which], &sides, delay));
                }
            }
        }
        let medians: Vec<f64> = times.iter().map(|times| median(times)).collect();
        let of = |wanted: &str| options.jobs.iter().position(|jobs| jobs == wanted).map(|at| medians[at]);
        let fixed = options.jobs.iter().zip(&medians).filter(|(jobs, _)| *jobs != "auto");
        let best = fixed.map(|(_, &median)| median).min_by(f64::total_cmp);
        let ratio = |one: Option<f64>, other: Option<f64>| match (one, other) {
            (Some(one), Some(other)) => format!("{:.2} ×", one / other),
            _ => "—".into(),
        };
        let figures: Vec<String> = medians.iter().map(|median| format!("{median:.2}")).collect();
        println!(
            "| {} | {} | {} | {} |",
            row.name(),
            figures.join(" | "),
            ratio(of("1"), best),
            ratio(best, of("auto"))
        );
    }
}
