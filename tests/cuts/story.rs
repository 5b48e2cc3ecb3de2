//! The order of events that P1 asks for, looked up in a record of system calls.
//!
//! Content durable, then published, then its name durable, then the source looked at again, then retired, then the
//! removal durable, then the record removed. *Before* means that one call had returned when the other began.

use crate::common::trace::{Call, Strace};

/// Calls that change what they are given, as far as pmove makes any.
const CHANGING: &[&str] = &[
    "write",
    "pwrite64",
    "copy_file_range",
    "splice",
    "ftruncate",
    "fallocate",
    "fchown",
    "fchownat",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "utimensat",
    "fsetxattr",
    "fremovexattr",
    "ioctl",
    "mkdirat",
    "mknodat",
    "symlinkat",
    "linkat",
    "renameat",
    "renameat2",
    "unlinkat",
    "openat",
];

/// What [`Story`] wants to see of a run.
#[must_use]
pub fn strace() -> Strace {
    // The question mark is for calls that are newer than strace.
    Strace::new().with_paths().only(&format!("?{},statx,fsync,fdatasync,syncfs", CHANGING.join(",?")))
}

/// A record of one run, and its two directories.
#[derive(Debug)]
pub struct Story<'a> {
    pub calls: &'a [Call],
    pub from: &'a str,
    pub to: &'a str,
}

type Result<T> = std::result::Result<T, String>;

impl Story<'_> {
    /// Whether `name` was moved in the right order; what is wrong with it, if it was not. `is_tree`: a directory.
    pub fn check(&self, name: &str, is_tree: bool) -> Result<()> {
        let published = self.published(name)?;
        let (stage, stage_dir) = self.stage_of(published)?;
        let staged = self.made_durable(&stage, is_tree, published)?;
        let kind = if is_tree { 'j' } else { 'r' };
        let record = self.record(&stage_dir, kind, staged, published)?;
        let named = self.sync_of(self.to, self.calls[published].ended, self.calls.len());
        let named = named.ok_or("its name is never made durable")?;
        let retired = self.retired(name, named, is_tree)?;
        let removal = self.record_removal(&stage_dir, &record)?;
        match self.sync_of(self.from, retired, removal) {
            Some(_) => Ok(()),
            None => Err(format!("{record} goes before the removal of the source is durable")),
        }
    }

    fn find(&self, what: &str, is_it: impl Fn(&Call) -> bool) -> Result<usize> {
        self.calls.iter().position(|call| call.is_ok() && is_it(call)).ok_or_else(|| format!("no {what}"))
    }

    fn published(&self, name: &str) -> Result<usize> {
        let target = format!("<{}>, \"{name}\"", self.to);
        let is_it = |call: &Call| ["linkat", "renameat", "renameat2"].contains(&&*call.name);
        self.find("publishing", |call| is_it(call) && call.text.contains(&target))
    }

    /// What the call at `published` gave its name to: the path by which the record knows it, and its directory's.
    fn stage_of(&self, published: usize) -> Result<(String, String)> {
        let text = &self.calls[published].text;
        if let Some(fd) = unnamed(text) {
            return self.made_as(fd, published);
        }
        // It had a name, by which it was made, or which it got in order to replace an old target.
        let (dir, name) = named(text).ok_or_else(|| format!("published from where? {text}"))?;
        let as_stage = format!("<{dir}>, \"{name}\"");
        let linked = self.calls[..published].iter().rposition(|call| {
            call.name == "linkat" && call.is_ok() && call.text.contains(&as_stage) && unnamed(&call.text).is_some()
        });
        match linked {
            Some(linked) => self.made_as(unnamed(&self.calls[linked].text).unwrap_or_default(), linked),
            None => Ok((format!("{dir}/{name}"), dir.to_owned())),
        }
    }

    /// The path of what was opened as descriptor `fd` last before `before`.
    fn made_as(&self, fd: &str, before: usize) -> Result<(String, String)> {
        let result = format!(" = {fd}<");
        let opened = self.calls[..before].iter().filter(|call| call.name == "openat" && call.text.contains(&result));
        let made = opened.filter(|call| call.ended <= before).max_by_key(|call| call.ended);
        let path = made.and_then(|call| call.text.rsplit_once(&result)).map(|(_, path)| path);
        let path = path.and_then(|path| path.split_once('>')).ok_or_else(|| format!("who made {fd}?"))?.0;
        Ok((path.to_owned(), path.rsplit_once('/').unwrap_or_default().0.to_owned()))
    }

    /// That all that `stage` holds was durable before it was published. Returns when the last of it was changed.
    fn made_durable(&self, stage: &str, is_tree: bool, published: usize) -> Result<usize> {
        let below = format!("{stage}/");
        // A link that is never opened is changed by its name, and durable with its directory.
        let (dir, name) = stage.rsplit_once('/').unwrap_or_default();
        let entry = format!("<{dir}>, \"{name}\"");
        let mut objects: Vec<(&str, usize)> = Vec::new();
        for (index, call) in self.calls[..published].iter().enumerate() {
            if !CHANGING.contains(&&*call.name) || !call.is_ok() {
                continue;
            }
            // Opening changes what it makes, and the directory in which it makes it.
            if call.name == "openat" && !call.text.contains("O_CREAT") && !call.text.contains("O_TMPFILE") {
                continue;
            }
            // A file that gets a name stays as it is.
            if call.name == "linkat" && unnamed(&call.text).is_some() {
                continue;
            }
            let inside = |path: &&str| *path == stage || is_tree && path.starts_with(&below);
            let named = call.text.contains(&entry).then_some(dir);
            for path in paths(&call.text).filter(inside).chain(named) {
                match objects.iter_mut().find(|(known, _)| *known == path) {
                    Some((_, last)) => *last = index,
                    None => objects.push((path, index)),
                }
            }
        }
        if objects.is_empty() {
            return Err(format!("nothing was ever written to {stage}"));
        }
        for (path, last) in &objects {
            if self.sync_of(path, self.calls[*last].ended, published).is_none() {
                return Err(format!("{path} is published before it is durable"));
            }
        }
        Ok(objects.iter().map(|(_, last)| *last).max().unwrap_or(0))
    }

    /// The record that was written after (for a tree: until) `staged`, and that was durable before `published`.
    fn record(&self, stage_dir: &str, kind: char, staged: usize, published: usize) -> Result<String> {
        let prefix = format!("{stage_dir}/{kind}");
        let mut written: Vec<(&str, usize)> = Vec::new();
        for (index, call) in self.calls[..published].iter().enumerate().filter(|(_, call)| call.name == "write") {
            for path in paths(&call.text).filter(|path| path.starts_with(&prefix)) {
                written.retain(|(known, _)| *known != path);
                written.push((path, index));
            }
        }
        // What was staged is in the record that the same thread writes next. A tree is everybody's, and the only one.
        let thread = self.calls[staged].thread;
        let later = written.into_iter().filter(|(_, last)| *last > staged);
        let record =
            later.filter(|(_, last)| kind == 'j' || self.calls[*last].thread == thread).min_by_key(|one| one.1);
        let (path, last) = record.ok_or("there is no record of it")?;
        match self.sync_of(path, self.calls[last].ended, published) {
            Some(_) => Ok(path.to_owned()),
            None => Err(format!("{path} is not durable before it is needed")),
        }
    }

    /// That everything of the source was looked at after `named`, and then removed. Returns when the last had gone.
    fn retired(&self, name: &str, named: usize, is_tree: bool) -> Result<usize> {
        let plain = format!("<{}>, \"{name}\"", self.from);
        if !is_tree {
            let gone = self.find("retiring", |call| call.name == "unlinkat" && call.text.contains(&plain))?;
            return self.checked_before(&plain, named, gone).map(|()| self.calls[gone].ended);
        }
        let hidden = self.find("hiding of the source", |call| {
            call.name == "renameat2" && call.text.starts_with('(') && call.text.contains(&format!("{plain}, "))
        })?;
        self.checked_before(&plain, named, hidden)?;
        let (_, name) = self.calls[hidden].text.rsplit_once(", \"").ok_or("hidden how?")?;
        let root = format!("{}/{}", self.from, name.split('"').next().unwrap_or_default());
        let (mut last, mut files) = (hidden, 0);
        for (index, call) in self.calls.iter().enumerate().filter(|(_, call)| call.name == "unlinkat") {
            let inside = paths(&call.text).any(|path| path == root || path.starts_with(&format!("{root}/")));
            let is_root = call.text.contains(&format!("<{}>, \"{}\"", self.from, &root[self.from.len() + 1..]));
            if !inside && !is_root {
                continue;
            }
            last = index;
            if !call.text.contains("AT_REMOVEDIR") {
                files += 1;
                let entry = call.text.trim_start_matches(|c: char| c == '(' || c.is_ascii_digit());
                let entry = entry.rsplit_once(", ").map_or(entry, |(entry, _)| entry);
                self.checked_before(entry, named, index)?;
            }
        }
        if files == 0 { Err("nothing of the tree was retired".into()) } else { Ok(self.calls[last].ended) }
    }

    /// That `entry`, a directory and a name, was looked at after `named` and before `gone`, and `gone` after `named`.
    fn checked_before(&self, entry: &str, named: usize, gone: usize) -> Result<()> {
        if named > gone {
            return Err(format!("{entry} goes before the target's name is durable"));
        }
        let looked = self.calls[named..gone]
            .iter()
            .any(|call| call.name == "statx" && call.text.contains(entry) && call.ended <= gone && call.is_ok());
        if looked { Ok(()) } else { Err(format!("{entry} is not looked at again before it goes")) }
    }

    fn record_removal(&self, stage_dir: &str, record: &str) -> Result<usize> {
        let entry = format!("<{stage_dir}>, \"{}\"", &record[stage_dir.len() + 1..]);
        self.find("removal of the record", |call| call.name == "unlinkat" && call.text.contains(&entry))
    }

    /// The first sync that covers `path`, begins at or after `since`, and is over when `until` begins: where that
    /// leaves us.
    fn sync_of(&self, path: &str, since: usize, until: usize) -> Option<usize> {
        let calls = self.calls.get(since..until)?.iter();
        let covers = |call: &&Call| match &*call.name {
            "fsync" | "fdatasync" => paths(&call.text).any(|synced| synced == path),
            "syncfs" => path.starts_with(self.to) && paths(&call.text).any(|synced| synced.starts_with(self.to)),
            _ => false,
        };
        calls.filter(covers).find(|call| call.ended <= until && call.is_ok()).map(|call| call.ended)
    }
}

/// The number of the descriptor that is given a name.
fn unnamed(text: &str) -> Option<&str> {
    // By itself, with an empty name: `(13</dir/#77>(deleted), "", 3</to>, "f", AT_EMPTY_PATH)`; or by way of /proc.
    if text.contains("AT_EMPTY_PATH") && text.contains(", \"\", ") {
        return text.strip_prefix('(')?.split('<').next();
    }
    text.split_once("/proc/self/fd/")?.1.split('"').next()
}

/// Directory and name of what is renamed.
fn named(text: &str) -> Option<(&str, &str)> {
    let (dir, rest) = text.split_once("</")?.1.split_once(">, \"")?;
    let start = text.len() - text.split_once("</")?.1.len() - 1;
    Some((&text[start..=start + dir.len()], rest.split('"').next()?))
}

/// The paths of the descriptors in a call.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("</").filter_map(|(at, _)| text[at + 1..].split('>').next())
}
