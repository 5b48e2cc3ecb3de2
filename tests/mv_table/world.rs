//! Two directories for one row, made as the row says, and looked at afterwards.
//!
//! A set-up is words like `s=f TO/t=f+`: a name, and what bears it. `TO/` is the other directory. What bears it:
//! `f` a file, `f-` an older and `f+` a newer one, `f0` one that nobody may write to, `f00` one of mode 0; `d` an empty
//! directory, `D` one with a file and a directory in it, `d0` one that nobody may write to; `l:x` a symlink to `x`;
//! `h:x` one more name of `x`, which comes before it; `p` a FIFO.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps};

use crate::common::fs::{Scratch, is_root, ordinary_user, other, scratch};
use crate::common::snapshot::Snapshot;
use crate::promises;

/// When everything was made that is neither older nor newer.
const WHEN: i64 = 1_000_000_000;

/// Where sources and targets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    Same,
    Other,
}

/// The directory in which a row is run, and the one that it calls `TO`.
#[derive(Debug)]
pub(crate) struct World {
    base: Scratch,
    elsewhere: Option<Scratch>,
    pub(crate) from: PathBuf,
    pub(crate) to: PathBuf,
}

/// What has been made: when it is to have been changed, and its mode, if it has one.
type Made = Vec<(PathBuf, i64, Option<u32>)>;

impl World {
    pub(crate) fn new(device: Device) -> Self {
        let base = scratch();
        let elsewhere = (device == Device::Other).then(other);
        let from = base.join("from");
        let to = elsewhere.as_deref().unwrap_or(&base).join("to");
        for dir in [&*base, elsewhere.as_deref().unwrap_or(&base)] {
            fs::set_permissions(dir, Permissions::from_mode(0o777)).unwrap();
        }
        Self { base, elsewhere, from, to }
    }

    /// Makes what the set-up says, and nothing else. It belongs to an ordinary user, unless `root` is to act.
    pub(crate) fn make(&self, setup: &str, root: bool) {
        promises::empty(&self.base);
        self.elsewhere.as_deref().into_iter().for_each(promises::empty);
        let mut made = Made::new();
        self.make_one(&self.from, "d", &mut made);
        self.make_one(&self.to, "d", &mut made);
        for word in setup.split_whitespace() {
            let (name, kind) = word.split_once('=').expect("NAME=KIND");
            self.make_one(&self.locate(&decode(name)), kind, &mut made);
        }
        // Directories after what is in them, which changes their times.
        for (path, seconds, mode) in made.iter().rev() {
            if is_root() && !root {
                let (uid, gid) = ordinary_user();
                lchown(path, Some(uid), Some(gid)).unwrap();
            }
            if let Some(mode) = mode {
                fs::set_permissions(path, Permissions::from_mode(*mode)).unwrap();
            }
            let time = Timespec { tv_sec: *seconds, tv_nsec: 7 };
            let times = Timestamps { last_access: time, last_modification: time };
            rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        }
    }

    fn make_one(&self, path: &Path, kind: &str, made: &mut Made) {
        // What was replaced can be told from what replaced it.
        let content = || path.strip_prefix(&self.from).unwrap_or(path.strip_prefix(&self.to).unwrap_or(path));
        let file = |mode| {
            fs::write(path, format!("{kind} {}", content().display())).unwrap();
            Some(mode)
        };
        let dir = |mode| {
            fs::create_dir(path).unwrap();
            Some(mode)
        };
        let (when, mode) = match kind {
            "f" => (WHEN, file(0o644)),
            "f-" => (WHEN - 1, file(0o644)),
            "f+" => (WHEN + 1, file(0o644)),
            "f0" => (WHEN, file(0o444)),
            "f00" => (WHEN, file(0)),
            "d" | "D" => (WHEN, dir(0o755)),
            "d-" => (WHEN - 1, dir(0o755)),
            "d+" => (WHEN + 1, dir(0o755)),
            "d0" => (WHEN, dir(0o555)),
            "p" => {
                rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
                (WHEN, Some(0o644))
            }
            _ => match kind.split_at(2) {
                ("l:", leads) => {
                    let leads = leads.strip_prefix("TO/").map_or_else(|| leads.into(), |name| self.to.join(name));
                    symlink(leads, path).unwrap();
                    (WHEN, None)
                }
                ("h:", of) => {
                    fs::hard_link(self.locate(of), path).unwrap();
                    return;
                }
                _ => panic!("not a kind: {kind}"),
            },
        };
        made.push((path.to_owned(), when, mode));
        if kind == "D" {
            self.make_one(&path.join("x"), "f", made);
            self.make_one(&path.join("sub"), "d", made);
            self.make_one(&path.join("sub/y"), "f", made);
        }
    }

    fn locate(&self, name: &str) -> PathBuf {
        name.strip_prefix("TO/").map_or_else(|| self.from.join(name), |name| self.to.join(name))
    }

    /// Everything that is there now. Of directories whose time was not kept, the time is left out.
    pub(crate) fn look(&self) -> Vec<Snapshot> {
        let bases = [Some(&*self.base), self.elsewhere.as_deref()];
        let look = |base: &Path| {
            Snapshot::of(base).without_root().without_holes().edit(|_, entry| {
                if entry.kind == FileType::Directory && (entry.mtime.0 - WHEN).abs() > 1 {
                    entry.mtime = (0, 0);
                }
            })
        };
        bases.into_iter().flatten().map(look).collect()
    }
}

/// `\x20` and the like, for what has no place in a word.
pub(crate) fn decode(word: &str) -> String {
    let mut parts = word.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).expect("names in rows are UTF-8")
}
