//! What the sources of a command line are: names, and what patterns find, in the order of the file system's listings.

use std::collections::{BTreeSet, HashMap};

use super::expand::Alternative;
use super::world::{Cause, Ino, Side, World};

/// The names in each directory, in the order in which the file system lists them.
pub type Listings = HashMap<Ino, Vec<String>>;

/// Where a source comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Operand,
    List,
    Pattern,
}

/// One source.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub path: String,
    pub origin: Origin,
    /// Which of the things that were looked for it was found by.
    pub task: usize,
}

/// What the user named.
pub enum Given {
    Name(String),
    Pattern(String),
}

/// Something to look for: what patterns may find at one place.
enum Task {
    Name(String),
    LookUp(String, Vec<usize>),
    Walk(String, Vec<(usize, Alternative)>),
}

/// Looks for what patterns stand for.
pub struct Finder<'a> {
    pub world: &'a World,
    pub listings: &'a Listings,
    pub dest: Ino,
    pub base: &'static str,
    /// The numbers of patterns that have a match, or need none.
    pub met: BTreeSet<usize>,
    /// A pattern finds what has arrived at DEST by then, or not.
    pub looks_at_arrivals: bool,
}

impl Finder<'_> {
    pub fn find(&mut self, given: &[Given]) -> Vec<Result<Candidate, String>> {
        let mut found = Vec::new();
        for (number, task) in self.tasks(given).into_iter().enumerate() {
            match task {
                Task::Name(path) => found.push(Ok(Candidate { path, origin: Origin::Operand, task: number })),
                Task::LookUp(path, patterns) => {
                    let (parent, name) = split(&path);
                    let parent = self.resolve(parent, number);
                    if parent == Err(Cause::Loop) {
                        self.met.extend(patterns);
                        found.push(Err(format!("cannot stat '{path}': {}", Cause::Loop.words())));
                    } else if parent.is_ok_and(|parent| self.world.child(parent, name).is_some()) {
                        self.met.extend(patterns);
                        found.push(Ok(Candidate { path, origin: Origin::Pattern, task: number }));
                    }
                }
                Task::Walk(root, wanted) => match self.resolve(&root, number) {
                    Ok(dir) if self.world.is_dir(dir) => {
                        self.walk(number, dir, &root, &mut Vec::new(), &wanted, &mut found);
                    }
                    Err(Cause::Loop) => {
                        self.met.extend(wanted.iter().map(|(number, _)| *number));
                        found.push(Err(format!("cannot read directory '{root}': {}", Cause::Loop.words())));
                    }
                    _ => {}
                },
            }
        }
        found
    }

    /// Where a pattern begins. If it leads through DEST, others may have arrived there by then.
    fn resolve(&mut self, root: &str, task: usize) -> Result<Ino, Cause> {
        let mut trace = Vec::new();
        let found = self.world.resolve(root, &mut trace);
        self.looks_at_arrivals |= task > 0 && (trace.contains(&self.dest) || found == Ok(self.dest));
        found
    }

    fn tasks(&self, given: &[Given]) -> Vec<Task> {
        let mut wanted: Vec<(usize, Option<Alternative>, String)> = Vec::new();
        for (number, given) in given.iter().enumerate() {
            match given {
                Given::Name(name) => wanted.push((number, None, name.clone())),
                Given::Pattern(text) => wanted.extend(Alternative::all(text).into_iter().map(|one| {
                    let root =
                        if one.root.starts_with('{') { one.root.clone() } else { format!("{}{}", self.base, one.root) };
                    (number, Some(one), root)
                })),
            }
        }
        let walked: BTreeSet<String> = wanted
            .iter()
            .filter(|(_, one, _)| one.as_ref().is_some_and(|one| one.literal().is_none()))
            .map(|(.., root)| root.clone())
            .collect();
        let mut tasks: Vec<Task> = Vec::new();
        for (number, one, root) in wanted {
            let Some(one) = one else {
                tasks.push(Task::Name(root));
                continue;
            };
            let prefix = &root[..root.len() - one.root.len()];
            let path = one.literal().filter(|_| !walked.contains(&root)).map(|path| format!("{prefix}{path}"));
            let same = tasks.iter_mut().find(|task| match (task, &path) {
                (Task::LookUp(other, _), Some(path)) => *other == *path,
                (Task::Walk(other, _), None) => *other == root,
                _ => false,
            });
            match (same, path) {
                (Some(Task::LookUp(_, patterns)), _) => patterns.push(number),
                (Some(Task::Walk(_, wanted)), _) => wanted.push((number, one)),
                (_, Some(path)) => tasks.push(Task::LookUp(path, vec![number])),
                (_, None) => tasks.push(Task::Walk(root, vec![(number, one)])),
            }
        }
        tasks
    }

    fn walk(
        &mut self,
        task: usize,
        dir: Ino,
        root: &str,
        names: &mut Vec<String>,
        wanted: &[(usize, Alternative)],
        found: &mut Vec<Result<Candidate, String>>,
    ) {
        for name in self.listings.get(&dir).map(Vec::as_slice).unwrap_or_default() {
            let Some(ino) = self.world.child(dir, name) else { continue };
            // Neither DEST nor what is in it.
            if ino == self.dest {
                continue;
            }
            names.push(name.clone());
            let plain: Vec<&str> = names.iter().map(String::as_str).collect();
            let is_dir = self.world.is_dir(ino);
            let judged: Vec<(usize, (bool, bool))> =
                wanted.iter().map(|(number, one)| (*number, one.judge(&plain, is_dir))).collect();
            if judged.iter().any(|(_, (is_match, _))| *is_match) {
                self.met.extend(judged.iter().filter(|(_, (hit, inside))| *hit || *inside).map(|(number, _)| *number));
                if names.len() > 1 || dir != self.dest {
                    found.push(Ok(Candidate {
                        path: format!("{root}{}", names.join("/")),
                        origin: Origin::Pattern,
                        task,
                    }));
                }
            } else if judged.iter().any(|(_, (_, inside))| *inside) {
                self.walk(task, ino, root, names, wanted, found);
            }
            names.pop();
        }
    }
}

/// A path's directory, with its slash, and its last name.
pub fn split(path: &str) -> (&str, &str) {
    path.split_at(path.rfind('/').map_or(0, |at| at + 1))
}

/// The directories of a world, with their sides and paths below the roots.
pub fn directories(world: &World) -> Vec<(Ino, Side, String)> {
    let mut found = Vec::new();
    let mut waiting: Vec<(Ino, Side, String)> =
        [Side::From, Side::To].map(|side| (world.root(side), side, String::new())).into();
    while let Some((ino, side, path)) = waiting.pop() {
        for (name, &child) in world.children(ino).into_iter().flatten() {
            if world.is_dir(child) {
                waiting.push((child, side, format!("{path}/{name}")));
            }
        }
        found.push((ino, side, path));
    }
    found
}
