//! What is moved: made anew for each run, alike each time, and looked for afterwards.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::disks::Room;
use crate::interrupt;

/// How deep the directories of the source tree are.
const TREE_DEPTH: u32 = 7;

/// Files to a directory of the source tree, on average; Linux and rustc have about that many.
const TREE_FILES: usize = 17;

/// What is to be moved.
#[derive(Clone, Copy)]
pub(crate) enum Corpus {
    /// Files in one directory, of `least` to `most` bytes
    Flat { files: usize, least: u64, most: u64 },
    /// A directory that is like a source tree
    Tree { files: usize },
    /// One file
    One { bytes: u64 },
}

/// In what shape it is handed to a mover.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// All that is in the source directory
    Contents,
    /// The one thing in the source directory
    Thing,
}

/// How much there is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    files: usize,
    bytes: u64,
}

/// The order of the movers in a round: another in each, so that nobody always comes after the same one, and the same in
/// each measurement.
pub(crate) fn order_of_round(round: usize, movers: usize) -> Vec<usize> {
    Numbers(round as u64).order(movers)
}

/// A source of numbers that are alike in every run (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// The numbers below `count`, in some order.
    fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).unwrap_or(last);
            order.swap(last, other);
        }
        order
    }

    /// From 0 to 1, neither included.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    fn part(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Sizes of source files: log-normal, the median 3.5 KiB, at most 1 MiB.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1 MiB")]
    fn size_of_source(&mut self) -> u64 {
        let normal = (-2.0 * self.part().ln()).sqrt() * (std::f64::consts::TAU * self.part()).cos();
        (3584.0 * (1.2 * normal).exp()).min(1_048_576.0) as u64
    }
}

impl Corpus {
    pub(crate) fn shape(self) -> Shape {
        if matches!(self, Self::Flat { .. }) { Shape::Contents } else { Shape::Thing }
    }

    /// The name of the one thing.
    pub(crate) fn thing(self) -> &'static str {
        if matches!(self, Self::Tree { .. }) { "tree" } else { "big.bin" }
    }

    /// A smaller one of the same kind, for a quick look.
    pub(crate) fn tenth(self) -> Self {
        match self {
            Self::Flat { files, least, most } => Self::Flat { files: files.div_ceil(10), least, most },
            Self::Tree { files } => Self::Tree { files: files.div_ceil(10) },
            Self::One { bytes } if bytes < 1 << 20 => self,
            Self::One { bytes } => Self::One { bytes: bytes / 10 },
        }
    }

    /// What a file system must hold for it: more than twice what there is, and no less than any mkfs takes well.
    pub(crate) fn room(self) -> Room {
        let (files, bytes) = match self {
            Self::Flat { files, most, .. } => (files as u64, most),
            Self::Tree { files } => (files as u64, 8192),
            Self::One { bytes } => (1, bytes),
        };
        let mib = (files * bytes.next_multiple_of(4096) * 9 / 4) >> 20;
        Room { mib: mib.max(1024), inodes: files * 5 / 4 + 10_000 }
    }

    /// Makes it in `dir`, which must not be there.
    pub(crate) fn make(self, dir: &Path) -> Result<Amount> {
        let mut numbers = Numbers(5);
        let content: Vec<u8> = (0..1 << 17).flat_map(|_| numbers.next().to_le_bytes()).collect();
        fs::create_dir(dir)?;
        let mut made = Amount::default();
        match self {
            Self::Flat { files, least, most } => {
                for number in 0..files {
                    let size = least + numbers.below(most - least + 1);
                    write(&dir.join(format!("f{number:07}.csv")), size, &content, &mut made)?;
                }
            }
            Self::Tree { files } => {
                let dirs = directories(&dir.join(self.thing()), files / TREE_FILES, &mut numbers)?;
                for number in 0..files {
                    let place = usize::try_from(numbers.below(dirs.len() as u64))?;
                    let path = dirs[place].join(format!("file_{number}.rs"));
                    write(&path, numbers.size_of_source(), &content, &mut made)?;
                    if number % 40 == 0 {
                        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
                    }
                }
            }
            Self::One { bytes } => write(&dir.join(self.thing()), bytes, &content, &mut made)?,
        }
        Ok(made)
    }

    /// Whether all that was made is at the target, and no more, and nothing is left at the source.
    pub(crate) fn check(self, made: Amount, source: &Path, target: &Path) -> Result<()> {
        let place = if matches!(self, Self::Tree { .. }) { target.join(self.thing()) } else { target.to_owned() };
        let arrived = amount(&place)?;
        ensure!(
            arrived == made,
            "of {} files and {} bytes, {} and {} arrived",
            made.files,
            made.bytes,
            arrived.files,
            arrived.bytes
        );
        let left = match fs::read_dir(source) {
            Ok(entries) => entries.count(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error.into()),
        };
        ensure!(left == 0, "{left} left at the source");
        Ok(())
    }
}

fn directories(root: &Path, count: usize, numbers: &mut Numbers) -> Result<Vec<PathBuf>> {
    fs::create_dir(root)?;
    let mut made = vec![(root.to_owned(), 1)];
    while made.len() < count.max(1) {
        let (parent, depth) = made[usize::try_from(numbers.below(made.len() as u64))?].clone();
        if depth < TREE_DEPTH {
            let path = parent.join(format!("module_{}", made.len()));
            fs::create_dir(&path)?;
            made.push((path, depth + 1));
        }
    }
    Ok(made.into_iter().map(|(path, _)| path).collect())
}

fn write(path: &Path, size: u64, content: &[u8], made: &mut Amount) -> Result<()> {
    interrupt::check()?;
    let mut file = File::create_new(path).with_context(|| format!("{}", path.display()))?;
    let mut left = size;
    while left > 0 {
        let piece = usize::try_from(left)?.min(content.len());
        file.write_all(&content[..piece])?;
        left -= piece as u64;
    }
    made.files += 1;
    made.bytes += size;
    Ok(())
}

fn amount(dir: &Path) -> Result<Amount> {
    let mut found = Amount::default();
    for entry in fs::read_dir(dir).with_context(|| format!("{}", dir.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let inner = amount(&entry.path())?;
            found = Amount { files: found.files + inner.files, bytes: found.bytes + inner.bytes };
        } else {
            found = Amount { files: found.files + 1, bytes: found.bytes + entry.metadata()?.len() };
        }
    }
    Ok(found)
}

/// Removes a directory, if it is there.
pub(crate) fn clear(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
