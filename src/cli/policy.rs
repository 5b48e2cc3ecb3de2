//! What the options about existing targets come to: one policy, or the reason why they make no sense together.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use clap::ValueEnum;

use crate::item::{Ask, Backup, BackupKind, Conflict, Policy, Way};

use super::args::{Args, ConflictWord};
use super::settings::Surroundings;
use super::usage::Usage;
use super::word::choose;

/// The words of `--update`.
const UPDATES: [(&str, Conflict); 4] = [
    ("all", Conflict::Overwrite),
    ("none", Conflict::Skip),
    ("none-fail", Conflict::Fail),
    ("older", Conflict::ReplaceOlder),
];

/// The words of `--backup` and `VERSION_CONTROL`.
const BACKUPS: [(&str, Option<BackupKind>); 8] = [
    ("none", None),
    ("off", None),
    ("simple", Some(BackupKind::Simple)),
    ("never", Some(BackupKind::Simple)),
    ("existing", Some(BackupKind::Existing)),
    ("nil", Some(BackupKind::Existing)),
    ("numbered", Some(BackupKind::Numbered)),
    ("t", Some(BackupKind::Numbered)),
];

/// What is to be done about targets that exist, and how sources get there.
///
/// # Errors
/// A word that is none, or options that contradict each other.
pub(super) fn policy(args: &Args, surroundings: &Surroundings) -> Result<(Policy, Way), Usage> {
    let update = args.update.as_deref().map(|word| choose(&UPDATES, word, "--update")).transpose()?;
    // mv's -n is more than --update=none: it wins over any --update.
    let update = if args.no_clobber { Some(Conflict::Skip) } else { update };
    let way = way(args)?;
    let has_backup = !args.backup.is_empty() || args.suffix.is_some();
    if has_backup && (args.exchange || args.no_clobber || update == Some(Conflict::Fail)) {
        return Err(Usage::hinted("cannot combine --backup with --exchange, -n, or --update=none-fail"));
    }
    if let Some(word) = args.on_conflict {
        agree(args, word, update, has_backup)?;
    }
    let backup = if has_backup { backup(args, surroundings)? } else { None };
    Ok((
        Policy {
            conflict: conflict(args, update, has_backup),
            ask: ask(args, surroundings)?,
            backup,
            merge: args.merge,
        },
        way,
    ))
}

fn way(args: &Args) -> Result<Way, Usage> {
    if !args.exchange {
        return Ok(if args.no_copy { Way::Rename } else { Way::Any });
    }
    let others = [
        (args.merge, "--merge"),
        (args.parents, "--parents"),
        (args.mkdir, "--mkdir"),
        (args.on_conflict.is_some(), "--on-conflict"),
    ];
    match others.iter().find(|(given, _)| *given) {
        Some((_, other)) => Err(Usage::cannot_combine("--exchange", other)),
        None => Ok(Way::Exchange),
    }
}

/// Whether what else was said of existing targets is what `--on-conflict` says.
fn agree(args: &Args, word: ConflictWord, update: Option<Conflict>, has_backup: bool) -> Result<(), Usage> {
    let wanted = of_word(word);
    let named = word.to_possible_value();
    let named = format!("--on-conflict={}", named.as_ref().map_or("", |value| value.get_name()));
    let refuse = |other| Err(Usage::cannot_combine(&named, other));
    let asks = word == ConflictWord::Ask;
    if args.no_clobber && wanted != Conflict::Skip {
        return refuse("--no-clobber (-n)");
    }
    if args.interactive && !asks {
        return refuse("--interactive (-i)");
    }
    // -f is also how an alias that asks is overruled: it contradicts nothing but the question.
    if args.force && asks {
        return refuse("--force (-f)");
    }
    if update.is_some_and(|update| update != wanted || asks) {
        return refuse("--update (-u)");
    }
    if has_backup && !matches!(wanted, Conflict::Overwrite | Conflict::ReplaceOlder) {
        return refuse("--backup (-b, -S): nothing would be replaced");
    }
    Ok(())
}

fn of_word(word: ConflictWord) -> Conflict {
    match word {
        ConflictWord::Skip => Conflict::Skip,
        ConflictWord::Fail => Conflict::Fail,
        ConflictWord::ReplaceOlder => Conflict::ReplaceOlder,
        ConflictWord::KeepBoth => Conflict::KeepBoth,
        ConflictWord::DropIdentical => Conflict::DropIdentical,
        ConflictWord::Overwrite | ConflictWord::Ask => Conflict::Overwrite,
    }
}

fn conflict(args: &Args, update: Option<Conflict>, has_backup: bool) -> Conflict {
    match (args.on_conflict, update) {
        (Some(word), _) => of_word(word),
        (None, Some(update)) => update,
        // In a merge nobody has named the files that would be lost.
        _ if args.merge && !args.force && !args.interactive && !has_backup => Conflict::Fail,
        _ => Conflict::Overwrite,
    }
}

fn ask(args: &Args, surroundings: &Surroundings) -> Result<Ask, Usage> {
    let reads_list = args.files_from.as_deref().is_some_and(|list| list == "-");
    if args.interactive || args.on_conflict == Some(ConflictWord::Ask) {
        if reads_list {
            return Err(Usage::hinted(
                "cannot ask anything: the list is on standard input, where the answers would be",
            ));
        }
        return Ok(Ask::Always);
    }
    let has_said = args.force || args.no_clobber || args.on_conflict.is_some();
    let may_ask = surroundings.stdin_is_terminal && !reads_list && !has_said;
    Ok(if may_ask { Ask::IfUnwritable } else { Ask::Never })
}

/// How what is replaced is kept, if that is wanted after all: one of the words is `none`.
fn backup(args: &Args, surroundings: &Surroundings) -> Result<Option<Backup>, Usage> {
    // A bare --backup does not take back what an earlier one said.
    let given = args.backup.iter().rfind(|word| !word.is_empty());
    let kind = match (given, surroundings.version_control.as_deref()) {
        (Some(word), _) => choose(&BACKUPS, word, "backup type")?,
        (None, Some(word)) if !word.is_empty() => choose(&BACKUPS, word, "$VERSION_CONTROL")?,
        _ => Some(BackupKind::Existing),
    };
    let suffix = args.suffix.as_deref().or(surroundings.simple_backup_suffix.as_deref());
    let suffix = suffix.map(OsStr::as_bytes).filter(|suffix| !suffix.is_empty() && !suffix.contains(&b'/'));
    Ok(kind.map(|kind| Backup { kind, suffix: suffix.unwrap_or(b"~").into() }))
}

#[cfg(test)]
mod tests {
    use super::super::settings::parse;
    use super::*;

    fn come_to(line: &str, surroundings: &Surroundings) -> Result<(Policy, Way), String> {
        let words = format!("pmove {line} a b");
        let settings = parse(words.split_whitespace().map(Into::into), surroundings);
        settings.map(|settings| (settings.policy, settings.way)).map_err(|early| early.message().to_owned())
    }

    fn at_a_pipe(line: &str) -> Result<(Policy, Way), String> {
        come_to(line, &Surroundings::default())
    }

    fn at_a_terminal(line: &str) -> (Policy, Way) {
        let terminal = Surroundings { stdin_is_terminal: true, ..Surroundings::default() };
        come_to(line, &terminal).expect("a line that can be followed")
    }

    fn conflict_of(line: &str) -> (Conflict, Ask) {
        let (policy, _) = at_a_pipe(line).expect("a line that can be followed");
        (policy.conflict, policy.ask)
    }

    #[test]
    fn the_last_of_i_f_and_n_counts() {
        assert_eq!(conflict_of(""), (Conflict::Overwrite, Ask::Never));
        assert_eq!(conflict_of("-i"), (Conflict::Overwrite, Ask::Always));
        assert_eq!(conflict_of("-i -n"), (Conflict::Skip, Ask::Never));
        assert_eq!(conflict_of("-n -f -i"), (Conflict::Overwrite, Ask::Always));
        assert_eq!(conflict_of("-nif"), (Conflict::Overwrite, Ask::Never));
        assert_eq!(conflict_of("-ii"), (Conflict::Overwrite, Ask::Always));
    }

    #[test]
    fn the_last_update_counts_and_n_wins_over_all() {
        assert_eq!(conflict_of("-u"), (Conflict::ReplaceOlder, Ask::Never));
        assert_eq!(conflict_of("--update"), (Conflict::ReplaceOlder, Ask::Never));
        assert_eq!(conflict_of("-u --update=all").0, Conflict::Overwrite);
        assert_eq!(conflict_of("--update=all -u").0, Conflict::ReplaceOlder);
        assert_eq!(conflict_of("--update=none-fail --update=none").0, Conflict::Skip);
        assert_eq!(conflict_of("--update=o").0, Conflict::ReplaceOlder);
        assert_eq!(conflict_of("-n --update=all").0, Conflict::Skip);
        assert_eq!(conflict_of("-n -f --update=none-fail").0, Conflict::Fail);
        assert_eq!(conflict_of("-iu"), (Conflict::ReplaceOlder, Ask::Always));
        let message = at_a_pipe("--update=non").unwrap_err();
        assert!(message.starts_with("ambiguous argument 'non' for '--update'\nValid"), "{message}");
    }

    #[test]
    fn h64_unwritable_targets_are_asked_about_at_a_terminal_only() {
        assert_eq!(at_a_terminal("").0.ask, Ask::IfUnwritable);
        assert_eq!(at_a_terminal("-u").0.ask, Ask::IfUnwritable);
        for silent in ["-f", "-n", "-if", "--on-conflict=overwrite", "--on-conflict=keep-both"] {
            assert_eq!(at_a_terminal(silent).0.ask, Ask::Never, "{silent}");
        }
        assert_eq!(at_a_terminal("-fi").0.ask, Ask::Always);
        assert_eq!(conflict_of("").1, Ask::Never);
    }

    #[test]
    fn h22_a_suffix_alone_makes_backups() {
        let backup = |line: &str| at_a_pipe(line).expect("a line that can be followed").0.backup;
        let kept = |kind, suffix: &[u8]| Some(Backup { kind, suffix: suffix.into() });
        assert_eq!(backup(""), None);
        assert_eq!(backup("-b"), kept(BackupKind::Existing, b"~"));
        assert_eq!(backup("-S .o"), kept(BackupKind::Existing, b".o"));
        assert_eq!(backup("-S a/b"), kept(BackupKind::Existing, b"~"));
        assert_eq!(backup("--suffix="), kept(BackupKind::Existing, b"~"));
        assert_eq!(backup("--backup=t -b"), kept(BackupKind::Numbered, b"~"));
        assert_eq!(backup("--backup=t --backup=sim"), kept(BackupKind::Simple, b"~"));
        assert_eq!(backup("--backup=ne"), kept(BackupKind::Simple, b"~"));
        assert_eq!(backup("--backup=none -S .o"), None);
    }

    #[test]
    fn backups_are_governed_by_the_environment_too() {
        let environment = |control: &str, suffix: &str| Surroundings {
            version_control: Some(control.into()),
            simple_backup_suffix: Some(suffix.into()),
            ..Surroundings::default()
        };
        let backup =
            |line: &str, control, suffix| come_to(line, &environment(control, suffix)).map(|(policy, _)| policy.backup);
        let kept = |kind, suffix: &[u8]| Ok(Some(Backup { kind, suffix: suffix.into() }));
        assert_eq!(backup("", "t", ".o"), Ok(None));
        assert_eq!(backup("-b", "t", ".o"), kept(BackupKind::Numbered, b".o"));
        assert_eq!(backup("--backup=", "t", ""), kept(BackupKind::Numbered, b"~"));
        assert_eq!(backup("-b", "", "x/y"), kept(BackupKind::Existing, b"~"));
        assert_eq!(backup("--backup=simple -S .k", "t", ".o"), kept(BackupKind::Simple, b".k"));
        assert_eq!(backup("-b", "off", ""), Ok(None));
        // What is not asked for is not judged.
        assert_eq!(backup("", "foo", ""), Ok(None));
        assert_eq!(backup("--backup=t", "foo", ""), kept(BackupKind::Numbered, b"~"));
        let message = backup("-b", "foo", "").unwrap_err();
        assert!(message.starts_with("invalid argument 'foo' for '$VERSION_CONTROL'\nValid"), "{message}");
    }

    #[test]
    fn what_is_never_replaced_is_not_backed_up() {
        for line in ["-b -n", "-n --backup=none", "-S x -n", "-b --exchange", "-b --update=none-fail", "-f -b -n"] {
            let message = at_a_pipe(line).unwrap_err();
            assert_eq!(message, "cannot combine --backup with --exchange, -n, or --update=none-fail", "{line}");
        }
        assert!(at_a_pipe("-n -b -f").is_ok());
        for word in ["skip", "fail", "keep-both", "drop-identical"] {
            let message = at_a_pipe(&format!("-b --on-conflict {word}")).unwrap_err();
            assert!(message.starts_with(&format!("cannot combine --on-conflict={word} with --backup")), "{message}");
        }
        assert!(at_a_pipe("-b --on-conflict ask").is_ok());
    }

    #[test]
    fn the_same_may_be_said_twice_but_not_one_thing_and_another() {
        for line in [
            "--on-conflict skip -n",
            "--on-conflict skip --update=none",
            "--on-conflict fail --update=none-fail",
            "--on-conflict ask -i",
            "--on-conflict replace-older -u",
            "--on-conflict overwrite -f --update=all",
            "--on-conflict keep-both -f",
        ] {
            assert!(at_a_pipe(line).is_ok(), "{line}");
        }
        for (line, option) in [
            ("--on-conflict overwrite -n", "--no-clobber (-n)"),
            ("--on-conflict fail -n", "--no-clobber (-n)"),
            ("--on-conflict skip -i", "--interactive (-i)"),
            ("--on-conflict ask -f", "--force (-f)"),
            ("--on-conflict ask -u", "--update (-u)"),
            ("--on-conflict skip -u", "--update (-u)"),
            ("--on-conflict keep-both --update=all", "--update (-u)"),
        ] {
            let message = at_a_pipe(line).unwrap_err();
            assert!(message.starts_with("cannot combine --on-conflict="), "{message}");
            assert!(message.ends_with(&format!(" with {option}")), "{message}");
        }
    }

    #[test]
    fn h35_a_merge_replaces_no_file_unless_told_so() {
        assert_eq!(conflict_of("--merge").0, Conflict::Fail);
        for line in ["--merge -f", "--merge -i", "--merge -b", "--merge --update=all", "--merge --on-conflict ask"] {
            assert_eq!(conflict_of(line).0, Conflict::Overwrite, "{line}");
        }
        assert_eq!(conflict_of("--merge -n").0, Conflict::Skip);
        assert_eq!(conflict_of("--merge -u").0, Conflict::ReplaceOlder);
    }

    #[test]
    fn an_exchange_goes_with_little_else() {
        assert_eq!(at_a_pipe("--exchange").map(|(_, way)| way), Ok(Way::Exchange));
        assert_eq!(at_a_pipe("--exchange --no-copy").map(|(_, way)| way), Ok(Way::Exchange));
        assert_eq!(at_a_pipe("--no-copy").map(|(_, way)| way), Ok(Way::Rename));
        for other in ["--merge", "--parents", "--mkdir", "--on-conflict"] {
            let value = if other == "--on-conflict" { "=ask" } else { "" };
            let message = at_a_pipe(&format!("--exchange {other}{value}")).unwrap_err();
            assert_eq!(message, format!("cannot combine --exchange with {other}"));
        }
    }
}
