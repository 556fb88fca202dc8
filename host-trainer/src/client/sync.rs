//! Makes a folder hold what a server says that it shall hold.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use update_core::keys::KEY_LEN;

use super::download::Wanted;
use super::error::{ClientError, listed};
use super::http::Server;
use super::local::Local;
use super::place::{Place, remove};
use super::stage::{Keeper, Origins, stage};
use super::state::{Follows, State, visible};
use super::stated::{Expected, Stated};
use crate::history::{Kind, Name, Signed, StatementError, Version};
use crate::tree::pack::Pack;
use crate::tree::patch::{self, Limits, PatchError};
use crate::tree::{Digest, Entry, MAX_ENTRIES, MAX_MANIFEST, Node, RESERVED, Symlinks, Tree};

/// Where versions come from. Nothing that it says is believed before it was checked.
pub trait Source {
    /// The statement about a version, or about the one that counts; it may be a brief one if that will do.
    ///
    /// # Errors
    /// [`ClientError`]; so for all of these.
    fn statement(&self, name: &Name, version: Option<&Version>, brief: bool) -> Result<Vec<u8>, ClientError>;

    /// Whether a tree with this root is known.
    fn has_tree(&self, root: &Digest) -> Result<bool, ClientError>;

    /// The tree with this root.
    fn tree(&self, root: &Digest) -> Result<Tree, ClientError>;

    /// Downloads to a file in `folder`, and returns its path; what is there of it already need not come again.
    fn download(
        &self,
        wanted: &Wanted,
        limit: u64,
        folder: &Path,
        progress: &dyn Fn(u64, u64),
    ) -> Result<PathBuf, ClientError>;
}

impl Source for Server {
    fn statement(&self, name: &Name, version: Option<&Version>, brief: bool) -> Result<Vec<u8>, ClientError> {
        self.statement_of(name, version, brief)
    }

    fn has_tree(&self, root: &Digest) -> Result<bool, ClientError> {
        Self::has_tree(self, root)
    }

    fn tree(&self, root: &Digest) -> Result<Tree, ClientError> {
        Self::tree(self, root)
    }

    fn download(
        &self,
        wanted: &Wanted,
        limit: u64,
        folder: &Path,
        progress: &dyn Fn(u64, u64),
    ) -> Result<PathBuf, ClientError> {
        Self::download(self, wanted, limit, folder, progress)
    }
}

/// What has just been done: after each of these a process may be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The statement was checked and noted.
    Believed,
    /// A download is complete.
    Downloaded,
    /// A content was kept.
    Content,
    /// The tree is known, and noted.
    Known,
    /// An entry stands in the next tree.
    Placed,
    /// The next tree is complete, with its state.
    Ready,
    /// It stands in the folder's place.
    Exchanged,
    /// What was in use before is kept, and all else was cleared away.
    Kept,
}

/// Told what happens.
pub trait Watch {
    /// Something was done; an error here stops all further work, as if the process were killed.
    ///
    /// # Errors
    /// Whatever shall come out.
    fn step(&self, _: Step) -> Result<(), ClientError> {
        Ok(())
    }

    /// So much of a stage is done.
    fn progress(&self, _stage: &str, _done: u64, _all: u64) {}

    /// Something that a user should know.
    fn note(&self, _text: &str) {}
}

/// What a folder shall follow.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Address of the server, to be remembered.
    pub server: String,
    /// The name.
    pub name: Name,
    /// The version; none: the one that counts.
    pub version: Option<Version>,
    /// Key that must have signed; none: the one that was trusted last, if any was.
    pub key: Option<[u8; KEY_LEN]>,
    /// Whether a version may be older than the one in use.
    pub downgrade: bool,
    /// Whether files that no version holds may go, and the folder may follow another name than so far.
    pub force: bool,
    /// What is done with symbolic links.
    pub symlinks: Symlinks,
    /// Whether the folder shall hold a pack in place of files.
    pub packed: bool,
    /// Bytes of all files, at most.
    pub max_size: u64,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Statement about what the folder held.
    pub from: Option<Signed>,
    /// Statement about what it holds now.
    pub to: Signed,
    /// Bytes of all files that it held, as far as it followed a server.
    pub old_len: u64,
    /// Paths where something else stands now, or nothing any more.
    pub changed: u64,
    /// Whether what came depends on what was there.
    pub is_delta: bool,
    /// Paths that somebody else had changed.
    pub repaired: Vec<String>,
    /// Contents that a patch needed and that were fetched whole.
    pub fetched: usize,
}

impl Outcome {
    /// Whether anything was done.
    pub fn is_new(&self) -> bool {
        self.changed > 0 || self.from.as_ref() != Some(&self.to)
    }
}

/// Makes the folder hold the version that was asked for. It is the old or the new one, whole, at any moment.
///
/// # Errors
/// [`ClientError`]. The folder is then what it was, unless it was exchanged already and only the clearing up failed.
pub fn sync(place: &Place, source: &dyn Source, wish: &Wish, watch: &dyn Watch) -> Result<Outcome, ClientError> {
    let follows = place.state()?.and_then(|state| state.follows);
    if let Some(follows) = follows.as_ref().filter(|follows| *follows.name() != wish.name && !wish.force) {
        return Err(ClientError::Follows { dir: place.dir().to_path_buf(), name: follows.name().clone() });
    }
    let current = follows.as_ref().filter(|follows| *follows.name() == wish.name);
    let key = wish.key.or_else(|| current?.key);
    // A signature tells whether the tree is right that a patch leads to. Without one a digest has to.
    let brief = key.is_some() && current.is_some_and(|current| !current.packed);
    let seen = place.seen(&wish.name)?;
    // Who names a version may get one that is not the newest.
    let newest = seen.as_ref().filter(|_| wish.version.is_none()).map_or(0, |seen| seen.statement.sequence);
    let expected =
        Expected { name: &wish.name, version: wish.version.as_ref(), newest, key: key.as_ref(), kind: Kind::Tree };
    let current = current.map(|current| &current.signed);
    let faith = Faith { place, source, wish, watch, expected, current, seen: seen.as_ref() };
    let stated = faith.ask(brief)?;

    let (read, all) = (Cell::new(0), follows.as_ref().map_or(0, |follows| follows.tree.len()));
    let local = Local::read(place.dir(), &|bytes| {
        read.set(read.get() + bytes);
        watch.progress("reading", read.get(), all.max(read.get()));
    })?;
    let mut origins = Origins {
        contents: place.contents()?,
        downloads: place.downloads()?,
        here: vec![local.files(), previous(place)?],
        source,
        watch,
        limit: wish.max_size,
        fetched: RefCell::default(),
    };
    let old = match &follows {
        Some(follows) => Some(follows.tree.clone()).filter(|_| !follows.packed),
        // A folder that was here before may still be one that the server knows.
        None => match local.tree().filter(|tree| !tree.is_empty()) {
            Some(tree) if source.has_tree(&tree.root())? => Some(tree),
            _ => None,
        },
    };
    let work = Work { place, wish, watch, expected, local: &local, follows: follows.as_ref(), old: old.as_ref() };
    let (signed, tree, is_delta) = match (work.tree(&stated, &origins), &stated) {
        // Whoever is to blame: the whole statement says what the tree must be.
        (Err(error), Stated::Brief(_)) if is_patch(&error) => {
            watch.note(&format!("note: {error}; the whole statement is asked for"));
            work.tree(&faith.ask(false)?, &origins)?
        }
        (Ok(known), Stated::Brief(_)) => {
            faith.believe(&known.0)?;
            known
        }
        (known, _) => known?,
    };
    watch.step(Step::Known)?;

    if wish.symlinks == Symlinks::Refuse
        && let Some(entry) = tree.entries().iter().find(|entry| matches!(entry.node, Node::Link { .. }))
    {
        return Err(ClientError::Link { path: entry.path.as_str().into() });
    }
    let mut outcome = Outcome {
        from: follows.as_ref().map(|follows| follows.signed.clone()),
        to: signed.clone(),
        old_len: follows.as_ref().map_or(0, |follows| follows.tree.len()),
        changed: 0,
        is_delta,
        repaired: Vec::new(),
        fetched: origins.fetched.take().len(),
    };
    let next = Follows { server: wish.server.clone(), key, signed, symlinks: wish.symlinks, packed: wish.packed, tree };
    work.build(next, &mut outcome, &mut origins)?;
    Ok(outcome)
}

/// What makes a statement one that is believed.
struct Faith<'a> {
    place: &'a Place,
    source: &'a dyn Source,
    wish: &'a Wish,
    watch: &'a dyn Watch,
    expected: Expected<'a>,
    /// About the version in use, if it is one of the name's.
    current: Option<&'a Signed>,
    /// The newest about the name that was believed.
    seen: Option<&'a Signed>,
}

impl Faith<'_> {
    /// Statements about the name that were believed.
    fn known(&self) -> impl Iterator<Item = &Signed> {
        self.seen.into_iter().chain(self.current)
    }

    /// Asks for the statement; one that is whole, or that is known already, is believed.
    fn ask(&self, brief: bool) -> Result<Stated, ClientError> {
        let Expected { name, version, key, .. } = self.expected;
        let stated = self.expected.read_either(&self.source.statement(name, version, brief)?)?;
        let newer = |current: &&Signed| current.statement.sequence > stated.sequence();
        if let Some(current) = self.current.filter(newer).filter(|_| !self.wish.downgrade) {
            let (current, wanted) = (current.statement.version.clone(), stated.version().clone());
            return Err(ClientError::Downgrade { current, wanted });
        }
        let whole = match &stated {
            Stated::Whole(signed) => Some(signed.clone()),
            Stated::Brief(brief) => self.known().find_map(|known| {
                let signed = brief.complete(name.clone(), known.statement.digest, known.statement.len);
                (signed.statement == known.statement && signed.verify(key).is_ok()).then_some(signed)
            }),
        };
        match whole {
            Some(signed) => self.believe(&signed).map(|()| Stated::Whole(signed)),
            None => Ok(stated),
        }
    }

    /// Believes what is signed, unless something else was signed under its number.
    fn believe(&self, signed: &Signed) -> Result<(), ClientError> {
        let said = &signed.statement;
        let other = |known: &Signed| known.statement.sequence == said.sequence && known.statement != *said;
        if self.known().any(other) {
            return Err(ClientError::Contradiction { sequence: said.sequence });
        }
        ClientError::check("all files of the version", said.len, self.wish.max_size)?;
        self.place.believe(signed)?;
        self.watch.step(Step::Believed)
    }
}

/// Files of the version before, which may be had again.
fn previous(place: &Place) -> Result<HashMap<Digest, PathBuf>, ClientError> {
    let Some(follows) = place.version_before()?.and_then(|state| state.follows) else { return Ok(HashMap::new()) };
    let root = place.previous();
    let file = |entry: &&Entry| Some((entry.file()?.2, entry.path.below(&root)));
    Ok(follows.visible().iter().filter_map(file).collect())
}

struct Work<'a> {
    place: &'a Place,
    wish: &'a Wish,
    watch: &'a dyn Watch,
    expected: Expected<'a>,
    local: &'a Local,
    follows: Option<&'a Follows>,
    /// What a patch may start from: what the folder should hold already.
    old: Option<&'a Tree>,
}

impl Work<'_> {
    /// The statement, the tree that it is about, and whether what led to it depends on what is here.
    fn tree(&self, stated: &Stated, origins: &Origins<'_>) -> Result<(Signed, Tree, bool), ClientError> {
        if let Some(follows) = self.follows
            && let Some(signed) = self.expected.about(stated, follows.signed.statement.digest, follows.tree.len())
        {
            return Ok((signed, follows.tree.clone(), true));
        }
        // A process that was killed may have come this far.
        let target = self.place.target();
        if let Some(tree) = fs::read(&target).ok().and_then(|bytes| Tree::parse(&bytes).ok())
            && let Some(signed) = self.expected.about(stated, tree.root(), tree.len())
        {
            return Ok((signed, tree, true));
        }
        let (signed, tree, is_delta) = match (self.patched(stated, origins), stated) {
            (Err(error), Stated::Whole(signed)) if is_patch(&error) => {
                self.watch.note(&format!("note: {error}; what has changed is fetched file by file"));
                (signed.clone(), origins.source.tree(&signed.statement.digest)?, false)
            }
            (patched, _) => patched?,
        };
        if tree.len() != signed.statement.len {
            let (found, limit) = (tree.len(), signed.statement.len);
            return Err(ClientError::TooLarge { what: "all files of the version", found, limit });
        }
        crate::files::write_atomic(&target, &tree.emit()).map_err(ClientError::io("write", &target))?;
        Ok((signed, tree, is_delta))
    }

    /// Likewise, where a patch leads to the tree; its contents are then kept.
    fn patched(&self, stated: &Stated, origins: &Origins<'_>) -> Result<(Signed, Tree, bool), ClientError> {
        let progress = |done, all| self.watch.progress("receiving", done, all);
        let (len, digest) = match stated {
            Stated::Whole(signed) => (signed.statement.len, Some(signed.statement.digest)),
            Stated::Brief(_) => (self.wish.max_size, None),
        };
        // No patch has reason to be longer than what it leads to, and its paths.
        let limit = len.saturating_add(MAX_MANIFEST);
        let name = self.expected.name;
        let version = self.follows.map(|follows| &follows.signed.statement).filter(|held| held.name == *name);
        let get = |old: Option<&Tree>| {
            let from = old.map(|tree| (version.map(|held| held.version.clone()), tree.root()));
            let wanted = Wanted::Patch { name: name.clone(), to: (stated.version().clone(), digest), from };
            origins.source.download(&wanted, limit, &origins.downloads, &progress)
        };
        let (old, path) = match get(self.old) {
            // Another server than before, perhaps.
            Err(error) if error.has_status(404) && self.old.is_some() => (None, get(None)?),
            path => (self.old, path?),
        };
        self.watch.step(Step::Downloaded)?;
        let bytes = fs::read(&path).map_err(ClientError::io("read", &path))?;
        let limits = Limits { new_len: limit, entries: MAX_ENTRIES };
        let mut keeper = Keeper { contents: &origins.contents, watch: self.watch };
        let from = old.map(|tree| (tree, origins as &dyn patch::Contents));
        self.watch.progress("applying", 0, 1);
        let applied = patch::apply(&bytes, from, &mut keeper, &limits).map_err(unwrapped);
        let found = match applied {
            Ok(tree) => {
                let found = tree.root();
                match (self.expected.about(stated, found, tree.len()), digest) {
                    (Some(signed), _) => return Ok((signed, tree, old.is_some())),
                    (None, Some(expected)) => ClientError::WrongDigest { what: "the folder", expected, found },
                    (None, None) => StatementError::WrongSignature.into(),
                }
            }
            Err(error) => error,
        };
        if is_patch(&found) {
            // Not to be tried again, nor what came out of it.
            remove(&path)?;
            remove(&origins.contents)?;
            self.place.contents()?;
        }
        Err(found)
    }

    /// Builds what `next` says, and puts it in the folder's place.
    fn build(&self, next: Follows, outcome: &mut Outcome, origins: &mut Origins<'_>) -> Result<(), ClientError> {
        let (place, wanted) = (self.place, next.visible());
        let now = self.local.against(&wanted);
        outcome.changed = (now.modified.len() + now.missing.len() + now.extra.len()) as u64;
        let recorded = match (self.follows, self.old) {
            (Some(follows), _) => follows.visible(),
            (None, Some(old)) => visible(old, Symlinks::Keep),
            (None, None) => Vec::new(),
        };
        let before = self.local.against(&recorded);
        outcome.repaired = [&before.modified[..], &before.missing[..]].concat();
        // What is neither in the version before nor the same in the next one would be gone.
        let goes: HashSet<&String> = now.modified.iter().chain(&now.extra).collect();
        let lost: Vec<String> = before.extra.iter().filter(|path| goes.contains(path)).cloned().collect();
        let same_pack = match self.follows {
            Some(follows) => follows.packed == next.packed && (!next.packed || follows.tree == next.tree),
            None => !next.packed,
        };
        // Files of nobody's stay as long as nothing else is to be done.
        let only_lost = outcome.changed == lost.len() as u64 && self.follows.is_some() && !self.wish.force;
        if same_pack && place.dir().is_dir() && (now.is_empty() || only_lost) {
            // The files are right: at most what is known about them changes.
            outcome.changed = 0;
            let generation = place.state()?.map_or(1, |state| state.generation);
            if self.follows != Some(&next) {
                State { generation, follows: Some(next) }.write(place.dir())?;
            }
            return place.clear(self.watch);
        }
        if !lost.is_empty() && !self.wish.force {
            return Err(ClientError::Extra { paths: lost });
        }
        if !outcome.repaired.is_empty() {
            self.watch.note(&format!("note: changed here, and put right: {}", listed(&outcome.repaired)));
        }
        let staging = place.next();
        stage(&staging, &wanted, origins)?;
        if next.packed {
            self.pack(&next, origins, &staging)?;
        } else {
            remove(&pack_path(&staging))?;
        }
        outcome.fetched += origins.fetched.take().len();
        let generation = place.next_generation()?;
        State { generation, follows: Some(next) }.write(&staging)?;
        self.watch.step(Step::Ready)?;
        self.watch.progress("writing", 0, 1);
        place.exchange(self.watch)?;
        self.watch.step(Step::Exchanged)?;
        place.keep(self.watch)
    }

    /// Reads every content once, so that what is read later is what was signed.
    fn check_pack(&self, path: &Path, next: &Follows) -> Result<(), ClientError> {
        let pack = Pack::open(File::open(path).map_err(ClientError::io("read", path))?)?;
        let (expected, found) = (next.signed.statement.digest, pack.tree().root());
        if found != expected {
            return Err(ClientError::WrongDigest { what: "the pack", expected, found });
        }
        let (mut checked, mut seen) = (0, HashSet::new());
        for entry in next.tree.entries() {
            let Some((_, len, digest)) = entry.file() else { continue };
            if seen.insert(digest) {
                pack.read(&entry.path, 0..len)?;
            }
            checked += len;
            self.watch.progress("checking", checked, next.tree.len());
        }
        Ok(())
    }

    /// Puts the pack beside the next state.
    fn pack(&self, next: &Follows, origins: &Origins<'_>, staging: &Path) -> Result<(), ClientError> {
        let to = pack_path(staging);
        let folder = staging.join(RESERVED);
        fs::create_dir_all(&folder).map_err(ClientError::io("make", &folder))?;
        let root = next.signed.statement.digest;
        let limit = next.signed.statement.len.saturating_add(MAX_MANIFEST);
        let progress = |done, all| self.watch.progress("receiving", done, all);
        let path = match origins.source.download(&Wanted::Pack(root), limit, &origins.downloads, &progress) {
            Err(error) if error.has_status(404) || error.has_status(501) => {
                self.watch.note("note: the server makes no pack: each file is fetched when it is read");
                return remove(&to);
            }
            path => path?,
        };
        self.watch.step(Step::Downloaded)?;
        if let Err(error) = self.check_pack(&path, next) {
            remove(&path)?;
            return Err(error);
        }
        fs::rename(&path, &to).map_err(ClientError::io("write", &to))
    }
}

/// Where a folder keeps its pack.
pub(super) fn pack_path(dir: &Path) -> PathBuf {
    dir.join(RESERVED).join("pack")
}

/// Whether a patch is to blame, or the server that made it or does not make it: there is another way.
fn is_patch(error: &ClientError) -> bool {
    match error {
        ClientError::Patch(error) => !matches!(error, PatchError::Write { .. }),
        ClientError::WrongDigest { .. } | ClientError::Statement(StatementError::WrongSignature) => true,
        ClientError::Refused(refusal) => matches!(refusal.status, 404 | 422 | 500 | 501),
        _ => false,
    }
}

/// The client's own error, if it went through the patch.
fn unwrapped(error: PatchError) -> ClientError {
    match error {
        PatchError::Read { source, .. } | PatchError::Write { source, .. }
            if source.get_ref().is_some_and(|inner| inner.is::<ClientError>()) =>
        {
            match source.into_inner().map(|inner| inner.downcast::<ClientError>()) {
                Some(Ok(own)) => *own,
                _ => unreachable!("it was looked at"),
            }
        }
        error => error.into(),
    }
}
