//! The target's file system shuts down in the middle of a run, because its disk has failed: whatever it says from then on,
//! nothing is retired that is not on the disk.

use std::fs;
use std::process::Command;

use pmove::fault::{Fault, Op, Plan, When};

use crate::common::fs::{other, require_root};
use crate::common::mount::{FsType, LoopFs};

use super::world::run;

#[test]
#[ignore = "mounts"]
fn p1_h24_what_a_file_system_says_after_it_has_shut_down_is_not_believed() {
    require_root();
    for kind in [FsType::Xfs, FsType::Ext4] {
        for files in [1, 3] {
            for nth in 1..12 {
                let mut disk = LoopFs::new(kind, 320);
                let (from, to) = (other(), disk.path().join("to"));
                fs::create_dir(&to).unwrap();
                let names: Vec<String> = (0..files).map(|n| format!("f{n}")).collect();
                for name in &names {
                    fs::write(from.join(name), format!("content of {name}")).unwrap();
                }
                rustix::fs::sync();
                let at = disk.path().to_owned();
                let act = move || {
                    let shut = Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(at).status();
                    assert!(shut.unwrap().success());
                };
                let sources = names.iter().map(|name| from.join(name).into_os_string());
                let args = ["pmove".into()].into_iter().chain(sources).chain([to.clone().into_os_string()]);
                let ran = run(args.collect(), Plan::new().at(When::Nth(Op::Sync, nth), Fault::Run(Box::new(act))));
                disk.remount();
                for name in &names {
                    let content = format!("content of {name}");
                    let places = [from.join(name), to.join(name)].map(|path| fs::read_to_string(path).ok());
                    let is_there = places.iter().flatten().any(|is| *is == content);
                    assert!(is_there, "{kind:?}, shut down before sync {nth}: {places:?}: {ran:?}");
                }
                if ran.hits == 0 {
                    break;
                }
            }
        }
    }
}
