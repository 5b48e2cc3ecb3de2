//! What must hold after a run, whatever was done to it, and after the same command once more.

use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use super::scenario::{Ground, Scenario, Sides};
use super::tracer::{Act, Traced, run};
use crate::common::run::Output;
use crate::common::snapshot::{Entry, Snapshot};
use crate::promises::litter;

/// How a case went.
pub(super) struct Tried {
    /// The call was reached and tampered with.
    pub(super) met: bool,
    pub(super) violation: Option<String>,
}

/// Runs one case, looks, runs the same command again, and looks again.
pub(super) fn try_case(ground: &Ground, scenario: &Scenario, at: usize, act: Act) -> Tried {
    let sides = scenario.set_up(ground);
    let before = Before { sources: look(&sides.from), targets: look(&sides.to), is_skipping: scenario.skips() };
    let traced = run(scenario.command(&sides), at, act);
    let mut wrong = before.check(&sides, &traced, act);
    if wrong.is_empty() {
        let again = scenario.command(&sides).run();
        wrong = before.check_re_run(&sides, scenario, &traced, &again);
        if !wrong.is_empty() {
            wrong.push(format!("re-run: {}", again.dump()));
        }
    }
    let violation = (!wrong.is_empty()).then(|| {
        let done = traced.done.as_deref().unwrap_or("nothing");
        let last = traced.calls.get(at).map_or("none", |call| call.name);
        format!("{}: call {at} ({last}): {done}:\n{}\n{}", scenario.name, wrong.join("\n"), traced.output.dump())
    });
    Tried { met: traced.done.is_some(), violation }
}

/// How things stood before the run.
struct Before {
    sources: Snapshot,
    targets: Snapshot,
    is_skipping: bool,
}

/// Both directories, without what is hidden in them by pmove.
struct Now {
    from: Snapshot,
    to: Snapshot,
}

impl Now {
    fn of(sides: &Sides) -> Self {
        Self { from: look(&sides.from), to: look(&sides.to) }
    }
}

fn look(dir: &Path) -> Snapshot {
    Snapshot::of(dir).without_root()
}

/// Of pmove's own, not of the user's.
fn is_hidden(path: &Path) -> bool {
    path.iter().any(|part| part.as_encoded_bytes().starts_with(b".pmove-"))
}

/// As far as content goes.
fn is_same(one: &Entry, other: &Entry) -> bool {
    let of = |entry: &Entry| (entry.kind, entry.size, entry.content.clone(), entry.target.clone(), entry.device);
    of(one) == of(other)
}

impl Before {
    /// This source stays, since its target was there before.
    fn stays(&self, path: &Path) -> bool {
        self.is_skipping && self.targets.get(path).is_some()
    }

    /// Everything is where it should be, and nowhere else.
    fn is_complete(&self, now: &Now) -> bool {
        self.sources.paths().all(|path| {
            let was = self.sources.get(path).unwrap();
            if self.stays(path) {
                return now.from.get(path).is_some_and(|entry| is_same(entry, was));
            }
            now.from.get(path).is_none() && now.to.get(path).is_some_and(|entry| is_same(entry, was))
        })
    }

    fn check(&self, sides: &Sides, traced: &Traced, act: Act) -> Vec<String> {
        let now = Now::of(sides);
        let mut wrong = self.check_content(&now);
        let (output, said) = (&traced.output, traced.output.stderr_text());
        let is_complete = self.is_complete(&now);
        if traced.hung {
            wrong.push("HANGS".into());
            return wrong;
        }
        match (act, output.code, output.signal) {
            // std panics when it cannot close a directory, and no file system refuses that.
            (_, Some(101), _) | (_, None, Some(6)) if said.contains("error during closedir") => return wrong,
            // Its messages may go the way of the other writes.
            (Act::FailFromNowOn(_), Some(1), _)
                if traced.done.as_deref().is_some_and(|done| done.starts_with("write ")) => {}
            // Not pmove's: the loader found no library.
            (_, Some(127), _) if said.contains("while loading shared libraries") => {}
            (Act::Signal(signal), None, Some(by)) if by == signal as i32 => {}
            (Act::Signal(Signal::SIGKILL), _, _) if traced.done.is_some() => wrong.push("was to be killed".into()),
            (_, Some(0), _) => {
                if !is_complete {
                    wrong.push("says that all is done, and it is not".into());
                }
                if said.is_empty() {
                    wrong.extend(self.check_properties(&now, traced));
                }
                let litter = [litter(&sides.from), litter(&sides.to)].concat();
                if said.is_empty() && !litter.is_empty() {
                    wrong.push(format!("left behind without a word: {litter:?}"));
                }
            }
            (_, Some(1), _) if !said.contains("pmove: ") => wrong.push("failed without a message".into()),
            (_, Some(1), _) => wrong.extend(self.unnamed(sides, &now, &said)),
            _ => wrong.push(format!("ended with {:?}, signal {:?}", output.code, output.signal)),
        }
        if said.contains("os error") || said.contains("panicked") {
            wrong.push("says what no user should read".into());
        }
        wrong
    }

    /// P1, P2, P8, and nothing but what was there before.
    fn check_content(&self, now: &Now) -> Vec<String> {
        let mut wrong = Vec::new();
        for path in self.sources.paths() {
            let was = self.sources.get(path).unwrap();
            let is_at = |side: &Snapshot| side.get(path).is_some_and(|entry| is_same(entry, was));
            if !is_at(&now.from) && !is_at(&now.to) {
                wrong.push(format!("LOST: {}", path.display()));
            }
            let root: PathBuf = path.iter().take(1).collect();
            let parent_is_published = root != path && now.to.get(&root).is_some();
            if parent_is_published && !is_at(&now.to) {
                wrong.push(format!("NOT WHOLE: {} is there without {}", root.display(), path.display()));
            }
        }
        for path in now.to.paths().filter(|path| !is_hidden(path)) {
            let is = now.to.get(path).unwrap();
            match (self.sources.get(path), self.targets.get(path)) {
                (_, Some(old)) if is == old => {}
                (Some(new), _) if is_same(is, new) => {
                    // For others, that is: a directory whose mode is refused stays its owner's.
                    let wider = is.mode & !new.mode & 0o7077;
                    if wider != 0 && is.target.is_none() {
                        wrong.push(format!("WIDER: {} is {:o}, was {:o}", path.display(), is.mode, new.mode));
                    }
                }
                (None, None) => wrong.push(format!("APPEARED: {}", path.display())),
                _ => wrong.push(format!("TORN: {}", path.display())),
            }
        }
        let gone = self.targets.paths().filter(|path| now.to.get(path).is_none());
        wrong.extend(gone.map(|path| format!("DESTROYED: {}", path.display())));
        let new = now.from.paths().filter(|path| !is_hidden(path) && self.sources.get(path).is_none());
        wrong.extend(new.map(|path| format!("APPEARED: source {}", path.display())));
        wrong
    }

    /// P7, of what has moved.
    fn check_properties(&self, now: &Now, traced: &Traced) -> Vec<String> {
        let mut wrong = Vec::new();
        let failed = |call: &str| traced.done.as_deref().is_some_and(|done| done.starts_with(call));
        // A new owner is kept without a word, as with mv; a file system that has no holes keeps none.
        if failed("fchown") || failed("lseek") {
            return wrong;
        }
        for path in self.sources.paths().filter(|path| !self.stays(path)) {
            let (was, mut is) = (self.sources.get(path).unwrap(), now.to.get(path).cloned());
            if let Some(is) = &mut is
                && failed("renameat2")
            {
                // One name was renamed, the other had to be copied: no link leads from one to the other.
                is.link_group.clone_from(&was.link_group);
            }
            if is.as_ref() != Some(was) {
                wrong.push(format!("CHANGED: {}: {was:?} is {is:?}", path.display()));
            }
        }
        wrong
    }

    /// Operands that are still there, and of which nothing was said.
    fn unnamed(&self, sides: &Sides, now: &Now, said: &str) -> Vec<String> {
        let is_general =
            GENERAL.iter().any(|words| said.contains(words)) || said.contains(&format!("{}'", sides.to.display()));
        let roots = self.sources.paths().filter(|path| path.iter().count() == 1 && !self.stays(path));
        let unsaid = roots.filter(|path| now.from.get(path).is_some() && !said.contains(&*path.to_string_lossy()));
        unsaid
            .filter(|_| !is_general)
            .map(|path| format!("not a word about {}, which is still there", path.display()))
            .collect()
    }

    fn check_re_run(&self, sides: &Sides, scenario: &Scenario, traced: &Traced, again: &Output) -> Vec<String> {
        let now = Now::of(sides);
        let mut wrong = self.check_content(&now);
        // A source that is named and has moved is no longer there, as with mv.
        let is_missing = !scenario.may_be_empty && again.stderr_text().contains("cannot stat");
        if again.code != Some(0) && !is_missing {
            wrong.push("the same command once more fails".into());
        }
        if !self.is_complete(&now) {
            wrong.push("the same command once more does not finish it".into());
        }
        // What failed took its hard links apart, if only some of the names were moved then.
        if traced.output.stderr.is_empty() && traced.output.code != Some(1) {
            wrong.extend(self.check_properties(&now, traced));
        }
        let litter = [litter(&sides.from), litter(&sides.to)].concat();
        if !litter.is_empty() {
            wrong.push(format!("left behind after the same command once more: {litter:?}"));
        }
        wrong
    }
}

/// Messages about all that was not reached, or about a directory on either side, or about a pattern.
const GENERAL: &[&str] =
    &["not reached", "cannot read directory", "interrupted run left", "cannot start a thread", "*': "];
