//! Many small files across devices, nothing durable: each thread takes a run of names at a time, and for each
//! of them copies, links, closes and unlinks.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;

use super::files::{Carrier, link, names, open_dir, unlink};
use super::{Copy, Staging};

/// Names that a thread takes at a time: few enough that all threads end together.
const RUN: usize = 64;

pub(super) fn run(args: &Copy) -> Result<()> {
    let source = open_dir(&args.sides.source)?;
    let target = open_dir(&args.sides.target)?;
    let names = names(&source)?;
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        let mut carrier = Carrier::new(&args.means, args.staging);
        loop {
            let begin = next.fetch_add(RUN, Ordering::Relaxed).min(names.len());
            let end = (begin + RUN).min(names.len());
            if begin == end {
                return Ok(());
            }
            for name in &names[begin..end] {
                let file = carrier.carry(&source, &target, name)?;
                carrier.look(&source, name)?;
                if args.staging == Staging::Unnamed {
                    link(&file, &target, name)?;
                }
                drop(file);
                carrier.look(&source, name)?;
                unlink(&source, name)?;
            }
        }
    };
    super::files::on_threads(args.means.threads, &work)
}
