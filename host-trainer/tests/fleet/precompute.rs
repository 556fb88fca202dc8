//! `gmcf precompute` as schedulers start it: as many processes, some of which are killed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use host_trainer::files::Scratch;
use host_trainer::history::{History, Kind, Name, Signed, Statement};
use host_trainer::store::Store;
use host_trainer::tree::{Symlinks, walk};

use super::run;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

async fn publish(store: &Store, name: &str, version: &str, kind: Kind, digest: host_trainer::tree::Digest, len: u64) {
    let (name, mut history): (Name, _) = (name.parse().unwrap(), History::default());
    let made = store.publish(&name, &mut history, |history| {
        let statement = Statement {
            name: name.clone(),
            sequence: history.next(),
            version: version.parse().unwrap(),
            kind,
            digest,
            len,
            rollback: false,
            published_at: 0,
        };
        Ok::<_, host_trainer::store::StoreError>(Some(Signed::new(statement, None)))
    });
    made.await.unwrap();
}

/// Two images in some versions, and a folder in two.
fn fill(place: &Path) {
    run(async {
        let store = Store::open(place.to_str().unwrap()).unwrap();
        let data = repository().join("tests/data/dev");
        for (name, versions) in
            [("fw-espboot-c3", &["2.1.0", "3.3.0", "4.0.0"][..]), ("fw-nodepixel-firmata", &["0.7.1", "0.8.1"])]
        {
            for version in versions {
                let content = std::fs::read(data.join(name).join(format!("{version}.bin"))).unwrap();
                let len = content.len() as u64;
                let digest = store.put_content(content.into()).await.unwrap();
                publish(&store, name, version, Kind::File, digest, len).await;
            }
        }
        let folder = Scratch::new("precompute-tree").unwrap();
        let root = folder.join("tree");
        std::fs::create_dir(&root).unwrap();
        for (version, text) in [("1", "first"), ("2", "second")] {
            std::fs::write(root.join("a.txt"), format!("{text} version of a file\n").repeat(30)).unwrap();
            std::fs::write(root.join("b.txt"), "always the same\n").unwrap();
            let walked = walk(&root, Symlinks::Refuse).unwrap();
            for entry in walked.tree.entries() {
                store.put_content(std::fs::read(walked.path_of(entry)).unwrap().into()).await.unwrap();
            }
            let digest = store.put_tree(&walked.tree).await.unwrap();
            publish(&store, "folder", version, Kind::Tree, digest, walked.tree.len()).await;
        }
    });
}

/// All deltas of a store with their bytes.
fn deltas(place: &Path) -> BTreeMap<String, Vec<u8>> {
    run(async {
        let store = Store::open(place.to_str().unwrap()).unwrap();
        let mut found = BTreeMap::new();
        for delta in store.deltas().await.unwrap() {
            found.insert(delta.key.to_string(), store.delta(&delta.key).await.unwrap().unwrap().to_vec());
        }
        found
    })
}

/// The command of the Kubernetes file's container.
fn kubernetes_command() -> String {
    let text = std::fs::read_to_string(repository().join("deploy/precompute/kubernetes.yaml")).unwrap();
    let mut lines = text.lines().skip_while(|line| line.trim() != "args:");
    lines.nth(1).unwrap().trim().strip_prefix("- ").unwrap().to_string()
}

/// A process for part `index` of `count`, as one of the two schedulers would start it.
fn part(place: &Path, index: u32, count: u32, kubernetes: bool) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_gmcf"));
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut command = if kubernetes {
        let mut command = Command::new("sh");
        command.arg("-c").arg(kubernetes_command()).env("GMCF_STORE", place);
        command.env("JOB_COMPLETION_INDEX", index.to_string()).env("GMCF_PARTS", count.to_string());
        command
    } else {
        let mut command = Command::new(repository().join("deploy/precompute/slurm.sh"));
        command.arg(place).env("SLURM_ARRAY_TASK_ID", index.to_string());
        command.env("SLURM_ARRAY_TASK_COUNT", count.to_string());
        command
    };
    command.env("PATH", path).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn parts_that_are_killed_and_started_again_make_what_one_process_makes() {
    let folder = Scratch::new("precompute").unwrap();
    let (one, many) = (folder.join("one"), folder.join("many"));
    fill(&one);
    fill(&many);
    assert!(part(&one, 0, 1, true).status().unwrap().success());
    let wanted = deltas(&one);
    // From nothing and from the versions before: 3 and 2 containers, 2 patches.
    assert_eq!(wanted.len(), 7);

    for round in 0..4 {
        let kubernetes = round % 2 == 0;
        let mut running: Vec<_> = (0..3).map(|index| part(&many, index, 3, kubernetes).spawn().unwrap()).collect();
        // Killed at any moment: while it starts, computes or writes.
        std::thread::sleep(Duration::from_millis(60 * round + 15));
        for child in &mut running[..2] {
            // It may have ended by itself.
            let _ = child.kill();
        }
        for child in &mut running {
            child.wait().unwrap();
        }
        for (key, delta) in deltas(&many) {
            assert_eq!(wanted.get(&key), Some(&delta), "round {round}: {key} is not whole");
        }
    }
    for index in 0..3 {
        assert!(part(&many, index, 3, false).status().unwrap().success());
    }
    assert_eq!(deltas(&many), wanted);

    // A second run finds everything there.
    let again = Command::new(env!("CARGO_BIN_EXE_gmcf")).args(["precompute", "--json", "--store"]).arg(&many).output();
    let report: serde_json::Value = serde_json::from_slice(&again.unwrap().stdout).unwrap();
    assert_eq!((&report["planned"], &report["there"], &report["made"]), (&7.into(), &7.into(), &0.into()));
}
