//! Folders that follow a server which lives in memory, by processes that are killed after every step.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::*;
use crate::files::Scratch;
use crate::history::{Brief, Kind, Name, Signed, Statement, StatementError, Version};
use crate::release::keys::SecretKey;
use crate::tree::patch::{self, Options};
use crate::tree::{Digest, Symlinks, Tree, walk};

/// Something to put into a folder.
#[derive(Clone, Copy)]
enum Item {
    File(&'static str, u32, &'static [u8]),
    Folder(&'static str),
    Link(&'static str, &'static str),
}
use Item::{File, Folder, Link};

const ONE: &[Item] = &[
    File("bin/run", 0o755, b"#!/bin/sh\nexec true\n"),
    File("conf/a.ini", 0o644, b"interval = 10\nlevel = 2\n"),
    File("conf/gone.ini", 0o644, b"soon gone\n"),
    File("conf/moves.ini", 0o600, b"this file moves\n"),
    File("same", 0o444, b"this one stays what it is\n"),
    Folder("spool"),
];
const TWO: &[Item] = &[
    File("bin/run", 0o700, b"#!/bin/sh\nexec true\n"),
    File("conf/a.ini", 0o644, b"interval = 20\nlevel = 2\n"),
    File("etc/moved.ini", 0o600, b"this file moves\n"),
    File("etc/copy.ini", 0o600, b"this file moves\n"),
    File("new", 0o644, b"quite new, and not like anything before\n"),
    File("new2", 0o644, b"quite new, and not like anything before\n"),
    File("same", 0o444, b"this one stays what it is\n"),
    Folder("logs"),
    Link("latest", "etc/moved.ini"),
];

fn lay(dir: &Path, items: &[Item]) {
    fs::create_dir_all(dir).unwrap();
    for item in items {
        let path = dir.join(match item {
            File(path, ..) | Folder(path) | Link(path, _) => path,
        });
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match item {
            File(_, mode, content) => {
                fs::write(&path, content).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
            }
            Folder(_) => fs::create_dir(&path).unwrap(),
            Link(_, target) => std::os::unix::fs::symlink(target, &path).unwrap(),
        }
    }
}

/// Patches by the roots that they lead from and to.
type Patches = HashMap<(Option<Digest>, Digest), Vec<u8>>;

/// A server in memory.
#[derive(Default)]
struct Shelf {
    statements: Vec<Signed>,
    trees: HashMap<Digest, Tree>,
    contents: HashMap<Digest, Vec<u8>>,
    patches: RefCell<Patches>,
    asked: RefCell<Vec<Wanted>>,
    /// Forms of the statements that went out.
    said: RefCell<Vec<&'static str>>,
}

impl Shelf {
    fn publish(&mut self, version: &str, items: &[Item], key: Option<&SecretKey>) {
        let folder = Scratch::new("client-shelf").unwrap();
        lay(&folder.join("t"), items);
        let walked = walk(&folder.join("t"), Symlinks::Keep).unwrap();
        for entry in walked.tree.entries() {
            if let Some((.., digest)) = entry.file() {
                self.contents.insert(digest, fs::read(walked.path_of(entry)).unwrap());
            }
        }
        let statement = Statement {
            name: name(),
            sequence: self.statements.len() as u64 + 1,
            version: version.parse().unwrap(),
            kind: Kind::Tree,
            digest: walked.tree.root(),
            len: walked.tree.len(),
            rollback: false,
            published_at: 0,
        };
        self.statements.push(Signed::new(statement, key));
        self.trees.insert(walked.tree.root(), walked.tree);
    }

    fn last(&self, version: Option<&Version>) -> Option<&Signed> {
        let about = |signed: &&Signed| version.is_none_or(|version| signed.statement.version == *version);
        self.statements.iter().rev().find(about)
    }

    fn root(&self, version: usize) -> Digest {
        self.statements[version - 1].statement.digest
    }
}

fn refused(status: u16) -> ClientError {
    let refusal = Refusal { request: "GET".into(), status, kind: "about:blank".into(), detail: "no".into() };
    ClientError::Refused(Box::new(refusal))
}

impl Source for Shelf {
    fn statement(&self, _: &Name, version: Option<&Version>, brief: bool) -> Result<Vec<u8>, ClientError> {
        let signed = self.last(version).ok_or_else(|| refused(404))?;
        let brief = Some(signed).filter(|_| brief).and_then(Brief::of);
        self.said.borrow_mut().push(if brief.is_some() { "brief" } else { "whole" });
        Ok(brief.map_or_else(|| signed.emit(), |brief| brief.emit()))
    }

    fn has_tree(&self, root: &Digest) -> Result<bool, ClientError> {
        Ok(self.trees.contains_key(root))
    }

    fn tree(&self, root: &Digest) -> Result<Tree, ClientError> {
        self.trees.get(root).cloned().ok_or_else(|| refused(404))
    }

    fn download(
        &self,
        wanted: &Wanted,
        limit: u64,
        folder: &Path,
        _: &dyn Fn(u64, u64),
    ) -> Result<PathBuf, ClientError> {
        self.asked.borrow_mut().push(wanted.clone());
        let bytes = match wanted {
            Wanted::Patch { to: (version, to), from, .. } => {
                let from = from.as_ref().map(|(_, from)| *from);
                let said = self.last(Some(version)).map(|signed| signed.statement.digest);
                let to = &to.or(said).ok_or_else(|| refused(404))?;
                let mut patches = self.patches.borrow_mut();
                let make = || {
                    let tree = |root: &Digest| self.trees.get(root).ok_or_else(|| refused(404));
                    let old = from.as_ref().map(tree).transpose()?;
                    let old = old.map(|old| (old, &self.contents as &dyn patch::Contents));
                    patch::make(old, tree(to)?, &self.contents, &Options { base: None, ..Options::default() })
                        .map_err(ClientError::from)
                };
                match patches.get(&(from, *to)) {
                    Some(bytes) => bytes.clone(),
                    None => patches.entry((from, *to)).or_insert(make()?).clone(),
                }
            }
            Wanted::Content(digest) => self.contents.get(digest).cloned().ok_or_else(|| refused(404))?,
            _ => return Err(refused(501)),
        };
        ClientError::check("the download", bytes.len() as u64, limit)?;
        let path = folder.join("download");
        fs::write(&path, bytes).unwrap();
        Ok(path)
    }
}

/// Stops after so many steps.
struct Killer {
    left: Cell<usize>,
    steps: RefCell<Vec<Step>>,
    notes: RefCell<Vec<String>>,
}

impl Killer {
    fn after(steps: usize) -> Self {
        Self { left: Cell::new(steps), steps: RefCell::default(), notes: RefCell::default() }
    }
}

impl Watch for Killer {
    fn step(&self, step: Step) -> Result<(), ClientError> {
        self.steps.borrow_mut().push(step);
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        if left == 0 {
            Err(ClientError::io("go on", "killed".as_ref())(io::ErrorKind::Interrupted.into()))
        } else {
            Ok(())
        }
    }

    fn note(&self, text: &str) {
        self.notes.borrow_mut().push(text.to_owned());
    }
}

fn name() -> Name {
    "n".parse().unwrap()
}

fn wish() -> Wish {
    Wish {
        server: "http://h".into(),
        name: name(),
        version: None,
        key: None,
        downgrade: false,
        force: false,
        symlinks: Symlinks::Keep,
        packed: false,
        max_size: 1 << 20,
    }
}

fn run(dir: &Path, shelf: &Shelf, wish: &Wish) -> Result<Outcome, ClientError> {
    sync(&Place::open(dir)?, shelf, wish, &Killer::after(usize::MAX))
}

fn root_of(dir: &Path) -> Digest {
    walk(dir, Symlinks::Keep).unwrap().tree.root()
}

/// Kills a sync after every step; the folder is what it was or what it shall be, and the next run finishes.
fn kill_everywhere(shelf: &Shelf, wish: &Wish, before: &dyn Fn(&Path), old: Option<Digest>, new: Digest) {
    for kill in 0.. {
        let folder = Scratch::new("client-kill").unwrap();
        let dir = folder.join("d");
        before(&dir);
        let killer = Killer::after(kill);
        let done = sync(&Place::open(&dir).unwrap(), shelf, wish, &killer);
        let exchanged = killer.steps.borrow().contains(&Step::Exchanged);
        let found = dir.exists().then(|| root_of(&dir));
        assert_eq!(found, if exchanged { Some(new) } else { old }, "killed after {kill}");
        if done.is_ok() {
            assert!(kill > 10 && exchanged);
            break;
        }
        // Killed again, a little later, before it may finish.
        let again = sync(&Place::open(&dir).unwrap(), shelf, wish, &Killer::after(kill % 5 + 2));
        assert!(again.is_ok() || dir.exists() == (exchanged || old.is_some()) || root_of(&dir) == new);
        run(&dir, shelf, wish).unwrap();
        assert_eq!(root_of(&dir), new, "killed after {kill}");
        let place = Place::open(&dir).unwrap();
        for gone in [place.next(), place.target(), folder.join(".d.gmcf/contents"), folder.join(".d.gmcf/trash")] {
            assert!(!gone.exists(), "{} after {kill}", gone.display());
        }
        if let Some(old) = old {
            assert_eq!(root_of(&place.previous()), old, "killed after {kill}");
            rollback(&place).unwrap();
            assert_eq!(root_of(&dir), old);
            rollback(&place).unwrap();
        }
        assert_eq!(root_of(&dir), new);
    }
}

#[test]
fn whenever_it_is_killed_the_folder_is_old_or_new_and_the_next_run_finishes() {
    // With a key, statements are brief.
    for key in [None, Some(SecretKey::generate())] {
        let wish = Wish { key: key.as_ref().map(SecretKey::public), ..wish() };
        let mut shelf = Shelf::default();
        shelf.publish("1", ONE, key.as_ref());
        let one = shelf.root(1);
        // Nothing there yet.
        kill_everywhere(&shelf, &wish, &|_| {}, None, one);
        shelf.publish("2", TWO, key.as_ref());
        let two = shelf.root(2);
        let first = Wish { version: Some("1".parse().unwrap()), ..wish.clone() };
        // A version, with another one before it.
        let twice = |dir: &Path| {
            run(dir, &shelf, &Wish { version: Some("2".parse().unwrap()), ..wish.clone() }).unwrap();
            run(dir, &shelf, &Wish { downgrade: true, ..first.clone() }).unwrap();
        };
        kill_everywhere(&shelf, &wish, &twice, Some(one), two);
        // A folder that knows of no server.
        kill_everywhere(&shelf, &wish, &|dir| lay(dir, ONE), Some(one), two);
        assert_eq!(shelf.said.borrow().contains(&"brief"), key.is_some());
    }
}

#[test]
fn a_brief_statement_will_do_where_a_key_is_trusted() {
    let (key, other) = (SecretKey::generate(), SecretKey::generate());
    let mut shelf = Shelf::default();
    shelf.publish("1", ONE, Some(&key));
    let folder = Scratch::new("client").unwrap();
    let dir = folder.join("d");
    let trusting = Wish { key: Some(key.public()), ..wish() };
    run(&dir, &shelf, &trusting).unwrap();
    shelf.publish("2", TWO, Some(&key));
    let outcome = run(&dir, &shelf, &wish()).unwrap();
    assert_eq!(outcome.to, shelf.statements[1]);
    // Again, and a name for what is there already: nothing more is asked for.
    shelf.asked.borrow_mut().clear();
    assert!(!run(&dir, &shelf, &wish()).unwrap().is_new());
    shelf.publish("3", TWO, Some(&key));
    assert!(run(&dir, &shelf, &wish()).unwrap().is_new());
    assert!(shelf.asked.borrow().is_empty());
    assert_eq!(*shelf.said.borrow(), ["whole", "brief", "brief", "brief"]);
    // A patch that leads elsewhere: the whole statement says where it should, and the files come one by one.
    run(&folder.join("e"), &shelf, &trusting).unwrap();
    let elsewhere = shelf.patches.borrow()[&(None, shelf.root(3))].clone();
    for (version, patch) in [("4", b"nonsense".to_vec()), ("5", elsewhere)] {
        shelf.publish(version, ONE, Some(&key));
        shelf.patches.borrow_mut().insert((Some(shelf.root(3)), shelf.root(4)), patch);
        shelf.said.borrow_mut().clear();
        let before = Wish { version: Some("3".parse().unwrap()), downgrade: true, ..wish() };
        run(&dir, &shelf, &wish()).unwrap();
        assert_eq!((root_of(&dir), &**shelf.said.borrow()), (shelf.root(4), &["brief", "whole"][..]));
        run(&dir, &shelf, &before).unwrap();
    }
    // Signed by another: refused, whichever form it comes in.
    shelf.publish("6", ONE, Some(&other));
    shelf.said.borrow_mut().clear();
    let refused = run(&dir, &shelf, &wish()).unwrap_err();
    assert!(matches!(refused, ClientError::Statement(StatementError::WrongSignature)), "{refused}");
    assert_eq!((root_of(&dir), &**shelf.said.borrow()), (shelf.root(3), &["brief", "whole"][..]));
    // It was not believed.
    assert_eq!(Place::open(&dir).unwrap().seen(&name()).unwrap().unwrap().statement.sequence, 5);
}

#[test]
fn what_is_known_comes_as_a_patch_and_only_once() {
    let mut shelf = Shelf::default();
    shelf.publish("1", ONE, None);
    let folder = Scratch::new("client").unwrap();
    let dir = folder.join("d");
    let outcome = run(&dir, &shelf, &wish()).unwrap();
    assert!(outcome.from.is_none() && !outcome.is_delta && outcome.changed == 6, "{outcome:?}");
    assert!(!run(&dir, &shelf, &wish()).unwrap().is_new());
    shelf.publish("2", TWO, None);
    shelf.asked.borrow_mut().clear();
    let outcome = run(&dir, &shelf, &wish()).unwrap();
    assert!(outcome.is_delta && outcome.fetched == 0);
    let version = |version: &str| version.parse::<Version>().unwrap();
    let from = Some((Some(version("1")), shelf.root(1)));
    assert_eq!(*shelf.asked.borrow(), [Wanted::Patch { name: name(), to: (version("2"), Some(shelf.root(2))), from }]);
    assert_eq!(root_of(&dir), shelf.root(2));
    // A name for what is there already: nothing is fetched, and nothing exchanged.
    shelf.publish("3", TWO, None);
    shelf.asked.borrow_mut().clear();
    assert!(run(&dir, &shelf, &wish()).unwrap().is_new());
    assert!(shelf.asked.borrow().is_empty());
    assert_eq!(Place::open(&dir).unwrap().version_before().unwrap().unwrap().generation, 1);
}

#[test]
fn what_was_changed_here_is_put_right_and_what_would_be_lost_is_named() {
    let mut shelf = Shelf::default();
    shelf.publish("1", ONE, None);
    shelf.publish("2", TWO, None);
    let folder = Scratch::new("client").unwrap();
    let dir = folder.join("d");
    run(&dir, &shelf, &Wish { version: Some("1".parse().unwrap()), ..wish() }).unwrap();
    // The patch needs what stood there: it is fetched.
    fs::write(dir.join("conf/a.ini"), "mine").unwrap();
    fs::remove_file(dir.join("conf/moves.ini")).unwrap();
    fs::create_dir(dir.join("an empty folder")).unwrap();
    let outcome = run(&dir, &shelf, &wish()).unwrap();
    assert_eq!(outcome.repaired, ["conf/a.ini", "conf/moves.ini"]);
    assert!(outcome.fetched >= 1 && outcome.is_delta);
    assert_eq!(root_of(&dir), shelf.root(2));
    assert_eq!(fs::read(folder.join(".d.gmcf/previous/conf/a.ini")).unwrap(), b"mine");
    // Repaired without a new version, and from what was kept.
    shelf.asked.borrow_mut().clear();
    fs::remove_file(dir.join("same")).unwrap();
    assert_eq!(run(&dir, &shelf, &wish()).unwrap().repaired, ["same"]);
    assert!(shelf.asked.borrow().is_empty());
    assert_eq!(root_of(&dir), shelf.root(2));
    // A file of nobody's stays where nothing is to be done, and is not lost where something is.
    fs::write(dir.join("mine"), "mine").unwrap();
    assert_eq!(run(&dir, &shelf, &wish()).unwrap().to.statement.sequence, 2);
    shelf.publish("3", ONE, None);
    let Err(ClientError::Extra { paths }) = run(&dir, &shelf, &wish()) else { panic!("lost") };
    assert_eq!(paths, ["mine"]);
    run(&dir, &shelf, &Wish { force: true, ..wish() }).unwrap();
    assert_eq!(root_of(&dir), shelf.root(3));
    assert!(folder.join(".d.gmcf/previous/mine").exists());
    // So in a folder that knows of no server.
    let other = folder.join("e");
    lay(&other, &[File("same", 0o644, b"my own"), File("x", 0o644, b"")]);
    let Err(ClientError::Extra { paths }) = run(&other, &shelf, &wish()) else { panic!("lost") };
    assert_eq!(paths, ["same", "x"]);
    assert_eq!(fs::read(other.join("same")).unwrap(), b"my own");
}

#[test]
fn only_what_was_signed_and_is_newer_is_followed() {
    let (key, other) = (SecretKey::generate(), SecretKey::generate());
    let mut shelf = Shelf::default();
    shelf.publish("1", ONE, Some(&key));
    let folder = Scratch::new("client").unwrap();
    let dir = folder.join("d");
    let trusting = Wish { key: Some(key.public()), ..wish() };
    run(&dir, &shelf, &trusting).unwrap();
    // The key stays trusted.
    for forger in [None, Some(&other)] {
        let mut forged = Shelf::default();
        forged.publish("1", ONE, Some(&key));
        forged.publish("2", TWO, forger);
        let refused = run(&dir, &forged, &wish()).unwrap_err();
        assert!(matches!(refused, ClientError::Statement(_)), "{refused}");
        assert_eq!(root_of(&dir), shelf.root(1));
    }
    let old = shelf.statements.clone();
    shelf.publish("2", TWO, Some(&key));
    run(&dir, &shelf, &wish()).unwrap();
    let new = std::mem::replace(&mut shelf.statements, old);
    // Replayed, and after a rollback, too.
    let replayed = |error| matches!(error, ClientError::Statement(StatementError::Replayed { found: 1, seen: 2 }));
    assert!(replayed(run(&dir, &shelf, &wish()).unwrap_err()));
    rollback(&Place::open(&dir).unwrap()).unwrap();
    assert!(replayed(run(&dir, &shelf, &wish()).unwrap_err()));
    rollback(&Place::open(&dir).unwrap()).unwrap();
    // Asked for by its name.
    shelf.statements = new;
    let first = Wish { version: Some("1".parse().unwrap()), ..wish() };
    assert!(matches!(run(&dir, &shelf, &first), Err(ClientError::Downgrade { .. })));
    run(&dir, &shelf, &Wish { downgrade: true, ..first }).unwrap();
    assert_eq!(root_of(&dir), shelf.root(1));
    // Two statements of one number.
    shelf.statements.pop();
    shelf.publish("2b", TWO, Some(&key));
    assert!(matches!(run(&dir, &shelf, &wish()), Err(ClientError::Contradiction { sequence: 2 })));
}

#[test]
fn a_patch_that_leads_elsewhere_is_not_the_end() {
    let mut shelf = Shelf::default();
    shelf.publish("1", ONE, None);
    let folder = Scratch::new("client").unwrap();
    let dir = folder.join("d");
    run(&dir, &shelf, &wish()).unwrap();
    shelf.publish("2", TWO, None);
    let (one, two) = (shelf.root(1), shelf.root(2));
    let other = shelf.patches.borrow()[&(None, one)].clone();
    for patch in [b"nonsense".to_vec(), other] {
        shelf.patches.borrow_mut().insert((Some(one), two), patch);
        let watch = Killer::after(usize::MAX);
        sync(&Place::open(&dir).unwrap(), &shelf, &wish(), &watch).unwrap();
        assert_eq!(root_of(&dir), two);
        assert!(watch.notes.borrow()[0].contains("file by file"));
        rollback(&Place::open(&dir).unwrap()).unwrap();
    }
    // A server that lies about everything gets nothing into the folder.
    fs::remove_dir_all(folder.join(".d.gmcf/previous")).unwrap();
    let Some(content) = shelf.contents.get_mut(&Digest::of(b"interval = 20\nlevel = 2\n")) else { panic!() };
    content[0] ^= 1;
    assert!(matches!(run(&dir, &shelf, &wish()), Err(ClientError::WrongDigest { .. })));
    assert_eq!(root_of(&dir), one);
}

#[test]
fn limits_links_and_locks_are_kept() {
    let mut shelf = Shelf::default();
    shelf.publish("1", TWO, None);
    let folder = Scratch::new("client").unwrap();
    let dir = folder.join("d");
    let small = run(&dir, &shelf, &Wish { max_size: 10, ..wish() });
    assert!(matches!(small, Err(ClientError::TooLarge { limit: 10, .. })));
    let refuse = run(&dir, &shelf, &Wish { symlinks: Symlinks::Refuse, ..wish() });
    assert!(matches!(refuse, Err(ClientError::Link { .. })));
    let busy = Place::open(&dir).unwrap();
    assert!(matches!(Place::open(&dir), Err(ClientError::Busy { .. })));
    drop(busy);
    run(&dir, &shelf, &Wish { symlinks: Symlinks::Skip, ..wish() }).unwrap();
    assert!(fs::symlink_metadata(dir.join("latest")).is_err() && dir.join("etc/moved.ini").exists());
    assert!(!run(&dir, &shelf, &Wish { symlinks: Symlinks::Skip, ..wish() }).unwrap().is_new());
    let kept = run(&dir, &shelf, &wish()).unwrap();
    assert_eq!((kept.changed, root_of(&dir)), (1, shelf.root(1)));
}
