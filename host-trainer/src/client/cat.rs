//! Parts of files, without the rest.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use update_core::keys::KEY_LEN;

use super::download::Wanted;
use super::error::ClientError;
use super::http::Server;
use super::place::resolve;
use super::state::State;
use super::stated::Expected;
use super::sync::pack_path;
use crate::files::Scratch;
use crate::history::{Kind, Name, Version};
use crate::tree::pack::{Pack, ReadRange};
use crate::tree::{Digest, Tree, TreePath};

/// A file, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Path in the version.
    pub path: &'a str,
    /// First byte, and the one behind the last; all where none is given. What lies behind the end is not there.
    pub range: Option<Range<u64>>,
}

impl Part<'_> {
    /// Length and digest of the file.
    fn find(&self, tree: &Tree) -> Result<(TreePath, u64, Digest), ClientError> {
        let path = TreePath::new(self.path)?;
        let found = tree.get(&path).and_then(|entry| entry.file());
        let (_, len, digest) = found.ok_or_else(|| ClientError::NoFile { path: self.path.into() })?;
        Ok((path, len, digest))
    }

    fn within(&self, len: u64) -> Range<u64> {
        let Range { start, end } = self.range.clone().unwrap_or(0..len);
        start.min(len)..end.min(len)
    }
}

/// Writes a part of a file of the version that a folder holds. Where it holds no files, the server that it follows is
/// asked, which `connect` prepares to talk to.
///
/// # Errors
/// [`ClientError::NotFollowing`], [`ClientError::NoFile`], [`ClientError::Io`]; those of a server.
pub fn from_folder(
    dir: &Path,
    part: &Part<'_>,
    connect: &dyn Fn(&str) -> Result<Server, ClientError>,
    out: &mut dyn Write,
) -> Result<(), ClientError> {
    let dir = resolve(dir)?;
    let none = || ClientError::NotFollowing { dir: dir.clone() };
    let follows = State::read(&dir)?.and_then(|state| state.follows).ok_or_else(none)?;
    let (path, len, digest) = part.find(&follows.tree)?;
    if follows.packed {
        let pack = pack_path(&dir);
        if pack.exists() {
            // All of it was checked when it came.
            let pack = Pack::open(File::open(&pack).map_err(ClientError::io("read", &pack))?)?;
            return blocks(&pack, &path, part.within(len), out);
        }
        return fetched(&connect(&follows.server)?, digest, len, part, out);
    }
    copy(&path.below(&dir), part.within(len), out)
}

/// Writes a part of a file of a version that a server has.
///
/// With a key, or where all of the file is wanted, all of it is fetched, and compared with what was published. Else only
/// the blocks of the tree's pack in which the part lies.
///
/// # Errors
/// [`ClientError`].
pub fn from_server(
    server: &Server,
    name: &Name,
    version: Option<&Version>,
    key: Option<&[u8; KEY_LEN]>,
    part: &Part<'_>,
    out: &mut dyn Write,
) -> Result<(), ClientError> {
    let expected = Expected { name, version, newest: 0, key, kind: Kind::Tree };
    let signed = expected.read(&server.statement_of(name, version, false)?)?;
    let tree = server.tree(&signed.statement.digest)?;
    let (path, len, digest) = part.find(&tree)?;
    let range = part.within(len);
    // A block names no signed digest: who trusts a key gets the whole, checked.
    if key.is_none() && range != (0..len) {
        let remote = Remote { server, root: signed.statement.digest };
        match Pack::open(remote) {
            Ok(pack) if pack.tree().root() == signed.statement.digest => return blocks(&pack, &path, range, out),
            // Packs are not made by every server, nor of every tree.
            Ok(_) | Err(_) => {}
        }
    }
    fetched(server, digest, len, part, out)
}

/// A pack on a server.
struct Remote<'a> {
    server: &'a Server,
    root: Digest,
}

impl ReadRange for Remote<'_> {
    fn read(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        self.server.range(&Wanted::Pack(self.root), offset, len).map_err(io::Error::other)
    }
}

/// Bytes that are decoded at a time.
const STRIDE: u64 = 1 << 20;

/// Writes a part of a file that lies in a pack.
fn blocks<R: ReadRange>(
    pack: &Pack<R>,
    path: &TreePath,
    range: Range<u64>,
    out: &mut dyn Write,
) -> Result<(), ClientError> {
    let mut at = range.start;
    while at < range.end {
        let end = range.end.min((at / STRIDE + 1) * STRIDE);
        match out.write_all(&pack.read(path, at..end)?) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(ClientError::io("write", "the output".as_ref()))?,
        }
        at = end;
    }
    Ok(())
}

/// Writes a part of a content that is fetched, and checked.
fn fetched(server: &Server, digest: Digest, len: u64, part: &Part<'_>, out: &mut dyn Write) -> Result<(), ClientError> {
    let scratch = Scratch::new("cat").map_err(ClientError::io("make", &std::env::temp_dir()))?;
    let path = server.download(&Wanted::Content(digest), len, &scratch.join(""), &|_, _| {})?;
    let read = |error| ClientError::io("read", &path)(error);
    let (found, _) = Digest::of_reader(File::open(&path).map_err(read)?).map_err(read)?;
    if found != digest {
        return Err(ClientError::WrongDigest { what: "the file", expected: digest, found });
    }
    copy(&path, part.within(len), out)
}

fn copy(path: &Path, range: Range<u64>, out: &mut dyn Write) -> Result<(), ClientError> {
    let read = |error| ClientError::io("read", path)(error);
    let mut file = File::open(path).map_err(read)?;
    file.seek(SeekFrom::Start(range.start)).map_err(read)?;
    match io::copy(&mut file.take(range.end - range.start), out) {
        // The reader went away: it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        copied => copied.map(|_| ()).map_err(read),
    }
}
