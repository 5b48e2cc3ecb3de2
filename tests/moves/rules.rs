//! What a move means: one source after the other, by MV.md's rules.

use std::collections::BTreeSet;

use super::command::{Command, DestKind, Policy, Sources, Word};
use super::find::{Candidate, Finder, Given, Listings, Origin, split};
use super::order::{Found, meet, plainly, vague};
use super::world::{Cause, Ino, World};

/// What comes of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub world: World,
    /// What is said of each failure; each in one of these ways.
    pub failures: Vec<Vec<String>>,
    /// None if all of this is to be expected; else why the order in which things happen is not laid down.
    pub vague: Option<&'static str>,
    /// A target that an earlier source might have made was there before: that shows by its time, which must be older
    /// than the run by more than a clock's tick.
    pub goes_by_time: bool,
    /// Sources meet: one lies in another one, or two are to get one name. What comes first is brought to its end first.
    pub meets: bool,
}

impl Outcome {
    pub fn code(&self) -> i32 {
        i32::from(!self.failures.is_empty())
    }
}

/// What is known of DEST.
struct Dest {
    dir: Ino,
    /// What stands before a name there.
    prefix: String,
    new_name: Option<String>,
}

/// Runs a command.
pub fn run(world: World, listings: &Listings, command: &Command) -> Outcome {
    let mut run = Run {
        outcome: Outcome { world, failures: Vec::new(), vague: None, goes_by_time: false, meets: false },
        policy: command.policy,
        created: BTreeSet::new(),
        tried: BTreeSet::new(),
        sources: BTreeSet::new(),
        given_away: BTreeSet::new(),
    };
    let mut dest_trace = Vec::new();
    match run.dest(command, &mut dest_trace) {
        Ok(dest) => {
            let candidates = run.candidates(command, listings, dest.dir);
            run.outcome.meets = meet(&candidates);
            run.outcome.vague = run.outcome.vague.or(vague(run.world(), &candidates, &dest_trace, dest.dir));
            // The stage directory comes and goes.
            run.outcome.world.touch(dest.dir);
            for candidate in candidates {
                match candidate {
                    Ok(candidate) => run.take(&dest, &candidate),
                    Err(message) => run.outcome.failures.push(vec![message]),
                }
            }
        }
        Err(messages) => run.outcome.failures.push(messages),
    }
    run.outcome
}

struct Run {
    outcome: Outcome,
    policy: Policy,
    /// Names that this run has made at DEST.
    created: BTreeSet<String>,
    /// Names that sources were to get.
    tried: BTreeSet<String>,
    /// Paths of sources, plainly written.
    sources: BTreeSet<String>,
    /// What has lost its name to a source, or got another one by which it is kept.
    given_away: BTreeSet<Ino>,
}

impl Run {
    fn world(&self) -> &World {
        &self.outcome.world
    }

    fn look(&self, path: &str) -> Result<(Ino, Ino, String), Cause> {
        let (parent, name) = split(path.trim_end_matches('/'));
        let parent = self.world().resolve(parent, &mut Vec::new())?;
        if name == "." {
            return Ok((parent, parent, name.to_owned()));
        }
        if !self.world().is_dir(parent) {
            return Err(Cause::NotADirectory);
        }
        let ino = self.world().child(parent, name).ok_or(Cause::Missing)?;
        Ok((parent, ino, name.to_owned()))
    }

    /// What a path names; with a slash behind it that must be, or lead to, a directory.
    fn look_behind(&self, path: &str) -> Result<Ino, Cause> {
        let (_, ino, _) = self.look(path)?;
        if path.ends_with('/') && !self.world().is_dir(ino) {
            let end = self.world().resolve(path, &mut Vec::new())?;
            return if self.world().is_dir(end) { Ok(ino) } else { Err(Cause::NotADirectory) };
        }
        Ok(ino)
    }

    /// What DEST means; or what is said of it, and that is the end.
    fn dest(&self, command: &Command, trace: &mut Vec<Ino>) -> Result<Dest, Vec<String>> {
        let text = command.dest.text();
        let only = command.only().filter(|word| !self.is_pattern(command, word)).map(|word| source_text(command, word));
        if command.kind != DestKind::Name {
            let found = self.world().resolve(&text, trace);
            let found =
                found.and_then(|ino| if self.world().is_dir(ino) { Ok(ino) } else { Err(Cause::NotADirectory) });
            match found {
                Ok(dir) => {
                    let prefix = if text.ends_with('/') { text } else { text + "/" };
                    return Ok(Dest { dir, prefix, new_name: None });
                }
                Err(cause) if command.kind == DestKind::Directory => {
                    return Err(vec![format!("target directory '{text}': {}", cause.words())]);
                }
                Err(cause) if only.is_none() => return Err(vec![format!("target '{text}': {}", cause.words())]),
                Err(_) => {}
            }
        }
        let source = only.unwrap_or_default();
        let refused = |cause: Cause| {
            vec![
                format!("cannot stat '{text}': {}", cause.words()),
                format!("cannot stat '{source}': {}", cause.words()),
                format!("cannot move '{source}' to '{text}': {}", cause.words()),
            ]
        };
        // Which of the two it is said of is open, if neither can be reached.
        let either = |cause: Cause| -> Vec<String> {
            refused(cause).into_iter().chain(self.look_behind(&source).err().into_iter().flat_map(refused)).collect()
        };
        let stripped = text.trim_end_matches('/');
        let there = self.look(&text);
        if stripped.len() < text.len() {
            // "new/" can only be, or become, a directory.
            if there.as_ref().is_ok_and(|(_, ino, _)| !self.world().is_dir(*ino)) {
                return Err(either(Cause::NotADirectory));
            }
            let found = self.look_behind(&source).map_err(refused)?;
            if !self.world().is_dir(found) {
                return Err(refused(Cause::NotADirectory));
            }
        }
        let (parent, name) = split(stripped);
        let dir = self.world().resolve(parent, trace);
        let dir = dir.and_then(|dir| if self.world().is_dir(dir) { Ok(dir) } else { Err(Cause::NotADirectory) });
        match dir {
            Ok(dir) => Ok(Dest { dir, prefix: parent.to_owned(), new_name: Some(name.to_owned()) }),
            Err(cause) => Err(either(cause)),
        }
    }

    /// Whether an operand is a pattern: it holds a `*`, and nothing has that name.
    fn is_pattern(&self, command: &Command, word: &Word) -> bool {
        let Sources::Words { is_literal: false, .. } = command.sources else { return false };
        let text = source_text(command, word);
        if !word.text().contains('*') {
            return false;
        }
        let found = if text.ends_with('/') {
            self.world().resolve(&text, &mut Vec::new()).map(drop)
        } else {
            self.look(&text).map(drop)
        };
        matches!(found, Err(Cause::Missing | Cause::NotADirectory))
    }

    /// The sources in their order; messages where there are none.
    fn candidates(&mut self, command: &Command, listings: &Listings, dest: Ino) -> Vec<Result<Candidate, String>> {
        match &command.sources {
            Sources::List { words, .. } => words
                .iter()
                .map(|word| Ok(Candidate { path: source_text(command, word), origin: Origin::List, task: 0 }))
                .collect(),
            Sources::Words { operands, patterns, allow_empty, .. } => {
                let literal_or_pattern = operands.iter().map(|word| {
                    if self.is_pattern(command, word) {
                        Given::Pattern(word.text())
                    } else {
                        Given::Name(source_text(command, word))
                    }
                });
                let given: Vec<Given> =
                    literal_or_pattern.chain(patterns.iter().map(|&text| Given::Pattern(text.to_owned()))).collect();
                let (met, base) = (BTreeSet::new(), command.base());
                let mut finder = Finder { world: self.world(), listings, dest, base, met, looks_at_arrivals: false };
                let found = finder.find(&given);
                let is_vague = finder.looks_at_arrivals;
                let met = std::mem::take(&mut finder.met);
                let unmet = given.iter().enumerate().filter_map(|(number, given)| match given {
                    Given::Pattern(text) if !allow_empty && !met.contains(&number) => {
                        Some(Err(format!("no match for pattern '{text}'")))
                    }
                    _ => None,
                });
                let candidates = found.into_iter().chain(unmet).collect();
                self.outcome.vague = is_vague.then_some("a pattern looks at what arrives");
                candidates
            }
        }
    }

    /// Moves one source.
    fn take(&mut self, dest: &Dest, candidate: &Candidate) {
        if let Err(messages) = self.try_take(dest, candidate) {
            self.outcome.failures.push(messages);
        }
    }

    fn try_take(&mut self, dest: &Dest, candidate: &Candidate) -> Result<(), Vec<String>> {
        let path = &candidate.path;
        let cannot_stat = |cause: Cause| vec![format!("cannot stat '{path}': {}", cause.words())];
        let stripped = path.trim_end_matches('/');
        let has_slash = stripped.len() < path.len();
        if path.is_empty() {
            return Err(cannot_stat(Cause::Missing));
        }
        let (parent_text, name) = split(stripped);
        let target_name = dest.new_name.as_deref().unwrap_or(name).to_owned();
        let to = format!("{}{target_name}", dest.prefix);
        if matches!(name, "." | "..") {
            return Err(vec![format!("cannot move '{path}' to '{to}': Device or resource busy")]);
        }
        let parent = self.world().resolve(parent_text, &mut Vec::new());
        let parent = match parent {
            Ok(parent) if self.world().is_dir(parent) => parent,
            _ if candidate.origin != Origin::Operand && self.has_gone_before(dest, stripped) => return Ok(()),
            Ok(_) => return Err(cannot_stat(Cause::NotADirectory)),
            Err(cause) => return Err(cannot_stat(cause)),
        };
        self.sources.insert(plainly(stripped));
        let is_rival = !self.tried.insert(target_name.clone());
        let ino = self.world().child(parent, name).ok_or_else(|| cannot_stat(Cause::Missing))?;
        if has_slash && !self.world().is_dir(ino) {
            let as_link = format!("cannot move '{path}' to '{to}': Not a directory");
            return Err(match self.world().resolve(stripped, &mut Vec::new()) {
                Ok(end) if self.world().is_dir(end) => vec![as_link],
                Ok(_) => cannot_stat(Cause::NotADirectory),
                Err(cause) => cannot_stat(cause),
            });
        }
        if let Some(existing) = self.world().child(dest.dir, &target_name) {
            if self.policy.skips() {
                return Ok(());
            }
            if self.policy == Policy::Fail {
                return Err(vec![format!("not replacing '{to}'")]);
            }
            let keeps = matches!(self.policy, Policy::KeepBoth | Policy::SimpleBackup | Policy::NumberedBackup);
            let looks_at_times = !keeps || self.policy == Policy::SimpleBackup;
            if looks_at_times && is_rival && !self.created.contains(&target_name) {
                self.go_by_time(existing);
            }
            if keeps {
                return self.keep(dest, path, (parent, name, ino), &target_name);
            }
            self.judge(path, &to, (ino, existing), &target_name)?;
            self.check_itself(dest, path, &to, ino)?;
            self.give_way(path, &to, existing)?;
        } else {
            self.check_itself(dest, path, &to, ino)?;
        }
        self.outcome.world.rename(parent, name, dest.dir, &target_name);
        self.created.insert(target_name);
        Ok(())
    }

    /// What is replaced loses its name, unless it is a directory with something in it.
    fn give_way(&mut self, path: &str, to: &str, existing: Ino) -> Result<(), Vec<String>> {
        if self.world().children(existing).is_some_and(|children| !children.is_empty()) {
            let across =
                format!("inter-device move failed: '{path}' to '{to}'; unable to remove target: Directory not empty");
            return Err(vec![format!("cannot overwrite '{to}': Directory not empty"), across]);
        }
        self.given_away.insert(existing);
        Ok(())
    }

    /// Takes note that something is decided by whether a target is older than the run. It is not, as far as its times
    /// show, once another of its names was taken by this run.
    fn go_by_time(&mut self, existing: Ino) {
        self.outcome.goes_by_time = true;
        if self.given_away.contains(&existing) {
            self.outcome.vague = Some("a target has a new time by another of its names");
        }
    }

    /// Takes a name that is taken, where what has it is to be kept.
    fn keep(
        &mut self,
        dest: &Dest,
        path: &str,
        (parent, name, ino): Found<'_>,
        target_name: &str,
    ) -> Result<(), Vec<String>> {
        let to = format!("{}{target_name}", dest.prefix);
        if parent == dest.dir && name == target_name {
            return Err(vec![format!("'{path}' and '{to}' are the same file")]);
        }
        let numbered = |n: usize| format!("{target_name}.~{n}~");
        let free = |world: &World, new: &String| world.child(dest.dir, new).is_none();
        if self.policy == Policy::SimpleBackup && self.created.contains(target_name) {
            return Err(vec![format!("will not overwrite just-created '{to}' with '{path}'")]);
        }
        self.check_itself(dest, path, &to, ino)?;
        let new_name = match self.policy {
            Policy::KeepBoth => {
                let stem = target_name.rfind('.').filter(|&at| at > 0).unwrap_or(target_name.len());
                let (stem, extension) = target_name.split_at(stem);
                let mut names = (1..100).map(|n| format!("{stem} ({n}){extension}"));
                names.find(|new| free(self.world(), new)).unwrap()
            }
            policy => {
                let backup = if policy == Policy::SimpleBackup {
                    format!("{target_name}~")
                } else {
                    (1..100).map(numbered).find(|new| free(self.world(), new)).unwrap()
                };
                self.given_away.extend(self.world().child(dest.dir, target_name));
                self.outcome.world.rename(dest.dir, target_name, dest.dir, &backup);
                target_name.to_owned()
            }
        };
        self.outcome.world.rename(parent, name, dest.dir, &new_name);
        self.created.insert(new_name);
        Ok(())
    }

    fn check_itself(&self, dest: &Dest, path: &str, to: &str, ino: Ino) -> Result<(), Vec<String>> {
        if self.world().is_below(dest.dir, ino) {
            return Err(vec![format!("cannot move '{path}' to a subdirectory of itself, '{to}'")]);
        }
        Ok(())
    }

    /// Whether a target may be replaced.
    fn judge(&self, path: &str, to: &str, (ino, existing): (Ino, Ino), name: &str) -> Result<(), Vec<String>> {
        let same = format!("'{path}' and '{to}' are the same file");
        let just_created = format!("will not overwrite just-created '{to}' with '{path}'");
        let is_created = self.created.contains(name);
        if ino == existing || self.world().is_referent(ino, path, existing, to) {
            // Across devices the first of two links is another file by then.
            return Err(if is_created { vec![same, just_created] } else { vec![same] });
        }
        if is_created {
            return Err(vec![just_created]);
        }
        match (self.world().is_dir(ino), self.world().is_dir(existing)) {
            (true, false) => Err(vec![format!("cannot overwrite non-directory '{to}' with directory '{path}'")]),
            (false, true) => Err(vec![format!("cannot overwrite directory '{to}' with non-directory '{path}'")]),
            _ => Ok(()),
        }
    }

    /// Whether a path has gone with a directory that was moved before.
    fn has_gone_before(&self, dest: &Dest, path: &str) -> bool {
        let plain = plainly(path);
        let above = self.sources.iter().filter(|source| plain.starts_with(&format!("{source}/")));
        let mut places = above.map(|source| {
            let name = split(source).1;
            format!("{name}{}", &plain[source.len()..])
        });
        places.any(|place| {
            let mut at = Some(dest.dir);
            for name in place.split('/') {
                at = at.and_then(|ino| self.world().child(ino, name));
            }
            at.is_some()
        })
    }
}

/// A source as it is reached from where the program works.
fn source_text(command: &Command, word: &Word) -> String {
    let text = word.text();
    if word.side.is_some() || text.is_empty() { text } else { format!("{}{text}", command.base()) }
}
