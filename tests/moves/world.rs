//! Two trees in memory, and how paths lead through them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::common::tree::Tree;

use super::find::split;

/// Which of the two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The one that is moved from: the working directory.
    From,
    /// The one that is moved to.
    To,
}

impl Side {
    /// What stands for its path in texts of the model.
    pub fn mark(self) -> &'static str {
        match self {
            Self::From => "{S}",
            Self::To => "{T}",
        }
    }
}

/// The number of an inode.
pub type Ino = usize;

/// One file as it is to be made. Entries that cannot be made (the name is taken, what should be a directory is none)
/// are left out, so that every list of entries is a tree.
#[derive(Clone, Debug)]
pub struct Entry {
    pub side: Side,
    pub path: Vec<&'static str>,
    pub what: What,
    pub mode: u32,
    pub mtime: i64,
    pub has_xattr: bool,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A file of so many bytes.
    File(usize),
    Dir,
    Symlink(&'static str),
    Fifo,
    /// One more name of an earlier entry on the same side: the one with this number, counted round and round.
    HardLink(usize),
}

/// What an inode holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Content that no other file has, unless it is empty.
    File(Vec<u8>),
    Dir(BTreeMap<String, Ino>),
    Symlink(String),
    Fifo,
}

/// An inode.
#[derive(Clone, Debug)]
pub struct Inode {
    pub kind: Kind,
    pub mode: u32,
    /// None once it is not known: the directory was changed.
    pub mtime: Option<(i64, u32)>,
    pub xattr: Option<Vec<u8>>,
    /// The directory above, of a directory.
    parent: Ino,
}

/// Both trees. Each has a directory of its own around it, so that `..` leads nowhere else.
#[derive(Clone, Debug)]
pub struct World {
    inodes: Vec<Inode>,
}

/// The paths that the trees have on a file system.
#[derive(Clone, Debug)]
pub struct Roots(pub [String; 2]);

impl Roots {
    /// A text of the model as the program gets it.
    pub fn fill_in(&self, text: &str) -> String {
        text.replace(Side::From.mark(), &self.0[0]).replace(Side::To.mark(), &self.0[1])
    }

    /// A text of the program as the model would say it.
    pub fn take_out(&self, text: &str) -> String {
        text.replace(&self.0[0], Side::From.mark()).replace(&self.0[1], Side::To.mark())
    }
}

/// Why a path leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Missing,
    NotADirectory,
    Loop,
}

impl Cause {
    pub fn words(self) -> &'static str {
        match self {
            Self::Missing => "No such file or directory",
            Self::NotADirectory => "Not a directory",
            Self::Loop => "Too many levels of symbolic links",
        }
    }
}

/// The name of each tree in the directory around it.
pub const ROOT: &str = "r";

/// The directories around the trees.
const TOPS: [Ino; 2] = [0, 1];

impl World {
    /// Makes the trees that `entries` describe, in memory; the same for the file system comes back, by side. `roots` are
    /// the paths that they will have there.
    pub fn build(entries: &[Entry], roots: &Roots) -> (Self, [Tree; 2]) {
        let mut world = Self { inodes: Vec::new() };
        for top in TOPS {
            world.add(Inode { parent: top, ..directory() });
        }
        for top in TOPS {
            world.make_dir(top, ROOT);
        }
        let mut trees = [Tree::new().dir(ROOT), Tree::new().dir(ROOT)];
        let mut made: Vec<(Side, PathBuf, Ino)> = Vec::new();
        for (number, entry) in entries.iter().enumerate() {
            let side = entry.side as usize;
            let Some((&name, above)) = entry.path.split_last() else { continue };
            let Some(parent) = world.make_parents(world.root(entry.side), above) else { continue };
            if world.child(parent, name).is_some() {
                continue;
            }
            let path: PathBuf = std::iter::once(ROOT).chain(entry.path.iter().copied()).collect();
            let tree = std::mem::take(&mut trees[side]).dir(path.parent().expect("below the root"));
            let (tree, ino) = world.make(tree, (number, entry), &path, (parent, name), &made, roots);
            trees[side] = tree;
            made.extend(ino.map(|ino| (entry.side, path, ino)));
        }
        (world, trees)
    }

    fn make(
        &mut self,
        tree: Tree,
        (number, entry): (usize, &Entry),
        path: &Path,
        (parent, name): (Ino, &str),
        made: &[(Side, PathBuf, Ino)],
        roots: &Roots,
    ) -> (Tree, Option<Ino>) {
        let mtime = (entry.mtime, u32::try_from(number).expect("few entries") + 1);
        let value = format!("v{number}").into_bytes();
        let (kind, tree) = match entry.what {
            What::File(size) => {
                let content: Vec<u8> =
                    format!("content of {number}. ").into_bytes().into_iter().cycle().take(size).collect();
                (Kind::File(content.clone()), tree.file(path, content).mode(entry.mode))
            }
            What::Dir => (Kind::Dir(BTreeMap::new()), tree.dir(path).mode(entry.mode | 0o700)),
            What::Symlink(text) => (Kind::Symlink(text.to_owned()), tree.symlink(path, roots.fill_in(text))),
            What::Fifo => (Kind::Fifo, tree.fifo(path).mode(entry.mode)),
            What::HardLink(to) => {
                let same_side: Vec<_> = made.iter().filter(|(side, ..)| *side == entry.side).collect();
                let files: Vec<_> = same_side.iter().filter(|(.., ino)| !self.is_dir(*ino)).collect();
                let Some((_, existing, ino)) = files.get(to % files.len().max(1)) else { return (tree, None) };
                let ino = *ino;
                self.attach(parent, name, ino);
                return (tree.hard_link(path, existing), Some(ino));
            }
        };
        let tree = tree.mtime(mtime.0, mtime.1);
        let takes_xattr = matches!(kind, Kind::File(_) | Kind::Dir(_)) && entry.has_xattr;
        let tree = if takes_xattr { tree.xattr("user.k", &value) } else { tree };
        let mode = if matches!(kind, Kind::Dir(_)) { entry.mode | 0o700 } else { entry.mode };
        let ino = self.add(Inode { kind, mode, mtime: Some(mtime), xattr: takes_xattr.then_some(value), parent });
        self.attach(parent, name, ino);
        // What is made in it later does not change its time: the fixture sets times last.
        self.inodes[ino].mtime = Some(mtime);
        (tree, Some(ino))
    }

    fn make_parents(&mut self, root: Ino, names: &[&str]) -> Option<Ino> {
        let mut at = root;
        for name in names {
            at = match self.child(at, name) {
                Some(ino) if self.is_dir(ino) => ino,
                Some(_) => return None,
                None => self.make_dir(at, name),
            };
        }
        Some(at)
    }

    fn make_dir(&mut self, parent: Ino, name: &str) -> Ino {
        let ino = self.add(Inode { parent, ..directory() });
        self.attach(parent, name, ino);
        ino
    }

    fn add(&mut self, inode: Inode) -> Ino {
        self.inodes.push(inode);
        self.inodes.len() - 1
    }

    fn attach(&mut self, parent: Ino, name: &str, ino: Ino) {
        if let Kind::Dir(children) = &mut self.inodes[parent].kind {
            children.insert(name.to_owned(), ino);
        }
        if self.is_dir(ino) {
            self.inodes[ino].parent = parent;
        }
    }

    /// Moves the name `name` of `parent` to `new` in `to`, in the place of what is there. Both directories have new
    /// times.
    pub fn rename(&mut self, parent: Ino, name: &str, to: Ino, new: &str) {
        let Kind::Dir(children) = &mut self.inodes[parent].kind else { return };
        let Some(ino) = children.remove(name) else { return };
        self.attach(to, new, ino);
        self.touch(parent);
        self.touch(to);
    }

    /// The time of a directory is not known any more.
    pub fn touch(&mut self, dir: Ino) {
        self.inodes[dir].mtime = None;
    }

    pub fn top(side: Side) -> Ino {
        TOPS[side as usize]
    }

    /// The root of a tree.
    pub fn root(&self, side: Side) -> Ino {
        self.child(Self::top(side), ROOT).expect("no root is ever moved")
    }

    pub fn get(&self, ino: Ino) -> &Inode {
        &self.inodes[ino]
    }

    pub fn inodes(&self) -> impl Iterator<Item = &Inode> {
        self.inodes.iter()
    }

    pub fn is_dir(&self, ino: Ino) -> bool {
        matches!(self.inodes[ino].kind, Kind::Dir(_))
    }

    pub fn is_symlink(&self, ino: Ino) -> bool {
        matches!(self.inodes[ino].kind, Kind::Symlink(_))
    }

    pub fn children(&self, ino: Ino) -> Option<&BTreeMap<String, Ino>> {
        match &self.inodes[ino].kind {
            Kind::Dir(children) => Some(children),
            _ => None,
        }
    }

    pub fn child(&self, ino: Ino, name: &str) -> Option<Ino> {
        self.children(ino)?.get(name).copied()
    }

    /// Whether `ino` is `ancestor`, or lies below it.
    pub fn is_below(&self, mut ino: Ino, ancestor: Ino) -> bool {
        loop {
            if ino == ancestor {
                return true;
            }
            if TOPS.contains(&ino) {
                return false;
            }
            ino = self.inodes[ino].parent;
        }
    }

    /// How many names a file has.
    pub fn links(&self, ino: Ino) -> usize {
        let children = self.inodes.iter().filter_map(|inode| match &inode.kind {
            Kind::Dir(children) => Some(children.values()),
            _ => None,
        });
        children.flatten().filter(|&&other| other == ino).count()
    }

    /// Where a path leads, symlinks followed, also in the last place. Notes in `trace` what it leads through.
    pub fn resolve(&self, path: &str, trace: &mut Vec<Ino>) -> Result<Ino, Cause> {
        let (start, rest) = self.start(path, self.root(Side::From));
        self.go(start, rest, &mut 0, trace)
    }

    fn start<'a>(&self, path: &'a str, here: Ino) -> (Ino, &'a str) {
        for side in [Side::From, Side::To] {
            if let Some(rest) = path.strip_prefix(side.mark()) {
                return (self.root(side), rest);
            }
        }
        (here, path)
    }

    fn go(&self, start: Ino, path: &str, hops: &mut u32, trace: &mut Vec<Ino>) -> Result<Ino, Cause> {
        let mut at = start;
        for name in path.split('/') {
            trace.push(at);
            if !self.is_dir(at) {
                return Err(Cause::NotADirectory);
            }
            let next = match name {
                "" | "." => at,
                // Above the directories around the trees nothing is ever looked for.
                ".." => self.inodes[at].parent,
                name => self.child(at, name).ok_or(Cause::Missing)?,
            };
            at = match &self.inodes[next].kind {
                Kind::Symlink(text) => {
                    trace.push(next);
                    *hops += 1;
                    if *hops > 40 {
                        return Err(Cause::Loop);
                    }
                    let (start, rest) = self.start(text, at);
                    self.go(start, rest, hops, trace)?
                }
                _ => next,
            };
        }
        Ok(at)
    }

    /// Whether a symlink would replace the file that it leads to. It may if that file has other names, unless the
    /// symlink leads to it by this very one.
    pub fn is_referent(&self, ino: Ino, path: &str, existing: Ino, to: &str) -> bool {
        if !self.is_symlink(ino) || self.is_symlink(existing) {
            return false;
        }
        if self.resolve(path, &mut Vec::new()) != Ok(existing) {
            return false;
        }
        self.links(existing) == 1 || self.name_of(path) == self.name_of(to)
    }

    /// The directory and the name that a path leads to, symlinks followed.
    fn name_of(&self, path: &str) -> Option<(Ino, String)> {
        let mut path = path.to_owned();
        for _ in 0..40 {
            let (parent, name) = split(&path);
            let (parent, name) = (self.resolve(parent, &mut Vec::new()).ok()?, name.to_owned());
            match &self.get(self.child(parent, &name)?).kind {
                Kind::Symlink(text) if text.starts_with('{') => path.clone_from(text),
                Kind::Symlink(text) => path = format!("{}{text}", split(&path).0),
                _ => return Some((parent, name)),
            }
        }
        None
    }
}

fn directory() -> Inode {
    Inode { kind: Kind::Dir(BTreeMap::new()), mode: 0o755, mtime: None, xattr: None, parent: 0 }
}
