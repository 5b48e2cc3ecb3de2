//! Who is compared: what each mover is called, and its command line.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::corpora::Shape;
use crate::disks::{is_program, program};
use crate::works::{Below, Crowd, Way, Work};

/// What is true of the copies when the command ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// They are on the disk.
    Durable,
    /// They are in memory.
    InMemory,
}

/// Which group a mover belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Pmove,
    Peer,
    /// What others are compared with; of several, the lowest counts.
    Floor,
    /// A floor that promises less than a mover must, or asks more than it need: only to be looked at.
    Cellar,
}

/// One of those compared.
pub(crate) struct Mover {
    pub(crate) name: &'static str,
    pub(crate) group: Group,
    pub(crate) ends: Ends,
    /// The program without which it is left out.
    pub(crate) program: Option<PathBuf>,
    /// Which works it does.
    suits: fn(&Work) -> bool,
    /// From the program and the job to the command.
    command: fn(&Path, &Job) -> Command,
}

/// What is moved where.
pub(crate) struct Job<'a> {
    pub(crate) work: &'a Work,
    /// Holds what is to be moved.
    pub(crate) source: &'a Path,
    pub(crate) target: &'a Path,
}

impl Job<'_> {
    /// The one thing to be moved, or the pattern `*`, as pmove takes it.
    fn operand(&self) -> PathBuf {
        match self.work.corpus.shape() {
            Shape::Contents => self.source.join("*"),
            Shape::Thing => self.source.join(self.work.corpus.thing()),
        }
    }

    /// A shell command in which `$1` is the source directory, `$2` the target directory, `$3` the one thing there
    /// is, `$0` the program.
    fn shell(&self, program: &Path, script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(program).args([self.source, self.target]);
        command.arg(self.work.corpus.thing());
        command
    }

    /// With each of two scripts for the two shapes.
    fn either(&self, program: &Path, contents: &str, thing: &str) -> Command {
        self.shell(program, if self.work.corpus.shape() == Shape::Contents { contents } else { thing })
    }

    fn pmove(&self, program: &Path, options: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(options).arg(self.operand()).arg(self.target);
        command
    }

    fn floor(&self, program: &Path, options: &[&str]) -> Command {
        let source = match self.work.floor {
            Below::Rename | Below::Copy | Below::LargeCopy => self.source.to_owned(),
            Below::Tree | Below::Big | Below::Clone => self.operand(),
        };
        let mut command = Command::new(program);
        command.arg("floor").args(options).arg(source).arg(self.target);
        command
    }
}

impl Mover {
    /// Whether it takes part in a work.
    pub(crate) fn does(&self, work: &Work) -> bool {
        self.program.is_some() && (self.suits)(work)
    }

    /// The command for a job.
    pub(crate) fn command(&self, job: &Job) -> Option<Command> {
        self.program.as_ref().map(|program| (self.command)(program, job))
    }
}

const MV: &str = r#"find "$1" -mindepth 1 -maxdepth 1 -print0 | xargs -0 "$0" -t "$2""#;
const MV_THING: &str = r#"exec "$0" "$1/$3" "$2""#;

fn copies(work: &Work) -> bool {
    matches!(work.way, Way::Copy)
}

fn in_a_crowd(work: &Work) -> bool {
    work.crowd == Crowd::Everyone
}

/// All that are compared, found or not. `peers` is where `benches/peers/install` puts them.
pub(crate) fn all(peers: &Path, myself: &Path) -> Vec<Mover> {
    let mut movers = pmoves();
    movers.extend(system(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers"))));
    movers.extend(fetched(peers));
    movers.extend(floors(myself));
    movers
}

fn mover(
    name: &'static str,
    program: Option<PathBuf>,
    suits: fn(&Work) -> bool,
    command: fn(&Path, &Job) -> Command,
) -> Mover {
    Mover { name, group: Group::Peer, ends: Ends::InMemory, program, suits, command }
}

fn pmoves() -> Vec<Mover> {
    let pmove = || Some(PathBuf::from(env!("CARGO_BIN_EXE_pmove")));
    let ours = |mover: Mover, ends| Mover { group: Group::Pmove, ends, ..mover };
    vec![
        ours(mover("pmove", pmove(), |_| true, |program, job| job.pmove(program, &[])), Ends::Durable),
        ours(
            mover("pmove --sync none", pmove(), copies, |program, job| job.pmove(program, &["--sync=none"])),
            Ends::InMemory,
        ),
        ours(mover("pmove -j 1", pmove(), in_a_crowd, |program, job| job.pmove(program, &["-j1"])), Ends::Durable),
        ours(
            mover(
                "find | pmove -0 -",
                pmove(),
                |work| work.crowd == Crowd::Names,
                |program, job| job.shell(program, r#"find "$1" -mindepth 1 -print0 | "$0" -0 - "$2""#),
            ),
            Ends::Durable,
        ),
    ]
}

fn system(scripts: &Path) -> Vec<Mover> {
    let pool = program("python3").filter(|_| scripts.join("thread_pool.py").is_file());
    vec![
        mover("mv", program("mv"), |_| true, |program, job| job.either(program, MV, MV_THING)),
        Mover {
            ends: Ends::Durable,
            ..mover(
                "mv, then sync -f",
                program("mv"),
                |work| copies(work) && work.crowd != Crowd::Few,
                |program, job| {
                    let contents = format!(r#"{MV} && sync -f "$2""#);
                    job.either(program, &contents, r#""$0" "$1/$3" "$2" && sync -f "$2""#)
                },
            )
        },
        mover(
            "xargs -P2 -n500 mv",
            program("mv"),
            |work| in_a_crowd(work) && work.corpus.shape() == Shape::Contents,
            |program, job| job.shell(program, r#"find "$1" -mindepth 1 -print0 | xargs -0 -P2 -n500 "$0" -t "$2""#),
        ),
        mover("rsync", program("rsync"), in_a_crowd, |program, job| {
            let script = r#""$0" -a --remove-source-files "$1/" "$2/" && find "$1" -mindepth 1 -type d -empty -delete"#;
            job.shell(program, script)
        }),
        mover("rclone move", program("rclone"), in_a_crowd, |program, job| {
            job.shell(program, r#"exec "$0" move --config="" -q --delete-empty-src-dirs "$1" "$2""#)
        }),
        mover("Python thread pool", pool, in_a_crowd, |program, job| {
            let mut command = Command::new(program);
            command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/thread_pool.py"));
            command.args([job.source, job.target]);
            command
        }),
    ]
}

fn fetched(peers: &Path) -> Vec<Mover> {
    let find = |path: &str| Some(peers.join(path)).filter(|path| is_program(path));
    let cpz = find("rmz/bin/rmz").and_then(|_| find("cpz/bin/cpz"));
    vec![
        mover(
            "uutils mv",
            find("uu_mv/bin/mv"),
            |work| work.crowd != Crowd::Names,
            |program, job| job.either(program, MV, MV_THING),
        ),
        mover(
            "cpz, then rmz",
            cpz,
            |work| in_a_crowd(work) && copies(work),
            |program, job| {
                let rmz = r#"rmz=${0%/cpz/bin/cpz}/rmz/bin/rmz; "$0""#;
                let contents = format!(r#"{rmz} -f "$1" "$2" && "$rmz" "$1""#);
                let thing = format!(r#"{rmz} "$1/$3" "$2/$3" && "$rmz" "$1/$3""#);
                job.either(program, &contents, &thing)
            },
        ),
        mover(
            "xcp, then rm",
            find("xcp/bin/xcp"),
            |work| in_a_crowd(work) && copies(work),
            |program, job| {
                let xcp = r#""$0" --no-progress -r"#;
                let contents = format!(r#"{xcp} -T "$1" "$2" && rm -rf "$1""#);
                let thing = format!(r#"{xcp} "$1/$3" "$2" && rm -rf "$1/$3""#);
                job.either(program, &contents, &thing)
            },
        ),
        mover(
            "Go, os.Rename",
            find("move"),
            |work| work.crowd != Crowd::Few,
            |program, job| {
                let mut command = Command::new(program);
                command.args([job.source, job.target]);
                command
            },
        ),
    ]
}

fn floors(myself: &Path) -> Vec<Mover> {
    let program = || Some(myself.to_owned());
    let floor =
        |name, ends, suits, command| Mover { group: Group::Floor, ends, ..mover(name, program(), suits, command) };
    let large = |work: &Work| matches!(work.floor, Below::LargeCopy | Below::Big);
    let small = |work: &Work| work.floor == Below::Copy;
    let cellar = |mover: Mover| Mover { group: Group::Cellar, ..mover };
    vec![
        floor(
            "floor",
            Ends::InMemory,
            |_| true,
            |program, job| {
                let words: &[&str] = match job.work.floor {
                    Below::Rename => &["rename"],
                    Below::Copy | Below::LargeCopy => &["copy"],
                    Below::Tree => &["tree"],
                    Below::Big => &["big", "-j1"],
                    Below::Clone => &["big", "-j1", "--through=clone"],
                };
                job.floor(program, words)
            },
        ),
        floor("floor, durable", Ends::Durable, copies, |program, job| {
            let words: &[&str] = match job.work.floor {
                Below::Rename | Below::Copy => &["durable"],
                Below::LargeCopy => &["durable", "--batch=125"],
                Below::Tree => &["tree", "--durable=everything"],
                Below::Big => &["big", "-j1", "--write-back=advised", "--durable=everything"],
                Below::Clone => &["big", "-j1", "--through=clone", "--durable=everything"],
            };
            job.floor(program, words)
        }),
        floor("floor, direct", Ends::InMemory, large, |program, job| match job.work.floor {
            Below::Big => job.floor(program, &["big", "-j1", "--through=direct"]),
            _ => job.floor(program, &["copy", "--through=direct"]),
        }),
        floor("floor, durable, direct", Ends::Durable, large, |program, job| match job.work.floor {
            Below::Big => job.floor(program, &["big", "-j1", "--through=direct", "--durable=everything"]),
            _ => job.floor(program, &["durable", "--through=direct", "--batch=125"]),
        }),
        cellar(floor("floor, looking", Ends::InMemory, small, |program, job| {
            job.floor(program, &["copy", "--looks", "--xattrs"])
        })),
        cellar(floor("floor, durable, looking", Ends::Durable, small, |program, job| {
            job.floor(program, &["durable", "--looks", "--xattrs"])
        })),
        cellar(floor("floor, final name", Ends::InMemory, small, |program, job| {
            job.floor(program, &["copy", "--staging=named"])
        })),
        cellar(floor("floor, durable, final name", Ends::Durable, small, |program, job| {
            job.floor(program, &["durable", "--staging=named"])
        })),
    ]
}
